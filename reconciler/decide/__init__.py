"""Facts → what ought to be so, and the plan that gets there. Pure: no clock, no disk, no log."""
