# Sourced by `root` and `layer`, which keep what they build in a directory of the lab's cache.
#
# Below $SLP_LAB_CACHE (default /var/cache/slp-reconciler-lab), one directory a digest. A build happens
# beside it and is renamed into place, so a directory is whole or absent; others wait for it. One
# that nobody used for a day is removed. The caller has `die`.
cache=${SLP_LAB_CACHE:-/var/cache/slp-reconciler-lab}

# present NAME: whether NAME is there; if so, it counts as used now.
present() { [[ -d $cache/$1 ]] && touch "$cache/$1"; }

# begin: a build in $building, which is removed if it fails; the cache's lock is held from now on.
begin() {
  mkdir -p "$cache"
  exec {lock}<"$cache"
  flock "$lock"
  rm -rf --one-file-system "$cache"/building.*
  building=$(mktemp -d "$cache/building.XXXXXX")
  trap 'rm -rf --one-file-system "$building"' EXIT
  [[ $(stat -f -c %T "$building") != tmpfs ]] || die "$cache is on a tmpfs: set SLP_LAB_CACHE to a directory on a disk"
}

# built NAME: puts what was built in its place, and removes what nobody used for a day.
built() {
  local old
  mv -T "$building" "$cache/$1"
  trap - EXIT
  for old in "$cache"/*/; do
    old=${old%/}
    [[ $old != "$cache/$1" && -z $(find "$old" -maxdepth 0 -newermt '-1 day') ]] || continue
    # A box that is up holds a shared lock on what it lies on.
    flock --exclusive --nonblock "$old" rm -rf --one-file-system "$old" || true
  done
}
