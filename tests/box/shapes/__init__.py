"""Six projects in the shapes of public repositories, in our own words.

What was learnt of them is where files lie, how settings compute their paths, and what leads to the
server's root; see each shape's docstring line for whose it is.
"""

from tests.box.shapes.shape import Shape
from tests.box.shapes.six import SHAPES

__all__ = ["SHAPES", "Shape"]
