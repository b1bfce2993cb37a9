# The inner half of box, in namespaces of its own: lays the machine out and becomes its PID 1.
# inside.sh RUN SHARE REPO BASE LAYER SYSTEMD KEEP NET (the last five may be empty)
set -euo pipefail
run=$1 share=$2 repo=$3 base=$4 layer=$5 systemd=$6 keep=$7 net=$8
: >"$run/began"
step='private mounts'
trap 'echo "$step refused" >"$run/no-box"' ERR

# Renames and inode numbers in their plainest form: what is kept of one box is a layer of others.
plain=redirect_dir=off,metacopy=off,index=off,xino=off

top=$run/base
mkdir "$top"
mount -t tmpfs -o mode=755,size=75% box "$top"
mkdir "$top"/{up,work,repo-up,repo-work,root,empty,host}
up=$top/up work=$top/work
if [[ -n $keep ]]; then
  mkdir -p "$keep/up" "$keep/work"
  up=$keep/up work=$keep/work
fi

# The layer lies somewhere below /, and overlayfs refuses a lower directory inside another one. Seen
# through a read-only overlay of its own, / is another file system, and the two may be stacked.
step='overlayfs'
lower=/
if [[ -n $base ]]; then
  lower=${layer:+$layer/up:}$base/root
elif [[ -n $layer ]]; then
  mount -t overlay -o "ro,lowerdir=$top/empty:/,$plain" host "$top/host"
  lower=$layer/up:$top/host
fi
mount -t overlay -o "lowerdir=$lower,upperdir=$up,workdir=$work,$plain" box "$top/root"
root=$top/root

step='mounts'
mkdir -p "$root"/{box,.box,.old}
mount -t proc proc "$root/proc"
# The kernel's settings are this machine's too, and so read-only in here, but for those of a network
# of the box's own.
mount --bind "$root/proc/sys" "$root/proc/sys"
[[ -z $net ]] || mount --bind "$root/proc/sys/net" "$root/proc/sys/net"
mount -o remount,bind,ro "$root/proc/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs -o mode=755 run "$root/run"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
mkdir -p "$root/run/lock"
mount --bind "$share" "$root/box"
mount --bind "$run" "$root/.box"
# The repository at its usual path, even where that is below /tmp or another file system than /.
mkdir -p "$root$repo"
mount -t overlay -o "lowerdir=$repo,upperdir=$top/repo-up,workdir=$top/repo-work,$plain" repo "$root$repo"
# /etc/resolv.conf is often a link into /run, which is empty in here.
resolv=$(readlink -m /etc/resolv.conf)
if [[ $resolv == /run/* && -r $resolv ]]; then
  mkdir -p "$root${resolv%/*}"
  cat "$resolv" >"$root$resolv"
fi
hostname box
grep -qw box "$root/etc/hosts" 2>/dev/null || echo '127.0.0.1 box' >>"$root/etc/hosts"
ip link set lo up || true

cat >"$run/launch" <<'LAUNCH'
. /.box/env
mapfile -d '' -t argv </.box/argv
cd "${argv[0]}" 2>/dev/null || cd /
unset 'argv[0]' OLDPWD TMPDIR
code=0
"${argv[@]}" || code=$?
echo "$code" >/.box/code
LAUNCH

cd "$root"
if [[ -z $systemd ]]; then
  step='pivot_root'
  pivot_root . .old
  umount -l /.old
  trap - ERR
  exec /bin/bash /.box/launch
fi

step='cgroup2'
mount -t cgroup2 cgroup sys/fs/cgroup
# Nothing that this machine starts at boot is started in the box; a test starts what it needs.
rm -rf etc/systemd/system/*.wants/*
cat >etc/systemd/system/box.service <<'UNIT'
[Unit]
After=basic.target dbus.socket
Wants=dbus.socket
[Service]
Type=oneshot
TimeoutStartSec=infinity
# A test's own processes are nobody's business but the test's: what it starts may outlive the unit.
KillMode=process
StandardOutput=append:/.box/out
StandardError=append:/.box/out
ExecStart=/bin/bash /.box/launch
ExecStopPost=/bin/systemctl --no-block exit
UNIT
cat >etc/systemd/system/box.target <<'UNIT'
[Unit]
Requires=basic.target box.service
After=box.service
AllowIsolate=yes
UNIT
step='pivot_root'
pivot_root . .old
umount -l /.old
trap - ERR
container=box exec /lib/systemd/systemd --system --unit=box.target --show-status=0 --log-target=null
