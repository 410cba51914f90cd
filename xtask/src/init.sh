#!/bin/sh
# /init of the machines that `cargo xtask vm` boots: prepares what a distribution would, runs every
# program in /tests, and says how each ended in lines that begin with @@.
export PATH=/bin HOME=/ TERM=dumb RUST_BACKTRACE=1 ICMPGATE_VM=1 ICMPGATE_BIN=/bin/icmpgate
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
exec >/dev/console 2>&1 </dev/null
# What the firmware left is no line of ours.
echo
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t bpf bpf /sys/fs/bpf
ip link set lo up
# In the order that they need each other.
for module in $(cat /modules/order); do
    insmod "/modules/$module" || echo "@@ broken insmod $module"
done

variant=$(sed -n 's/.*icmpgate\.variant=\([a-z-]*\).*/\1/p' /proc/cmdline)
case $variant in
no-jit)
    echo 0 >/proc/sys/net/core/bpf_jit_enable
    [ "$(cat /proc/sys/net/core/bpf_jit_enable)" = 0 ] || echo "@@ broken the JIT stays on"
    ;;
no-btf)
    mount -t tmpfs tmpfs /sys/kernel/btf
    [ ! -e /sys/kernel/btf/vmlinux ] || echo "@@ broken the BTF stays visible"
    ;;
esac

echo "@@ booted $(uname -r) $variant"
cd /tmp || echo "@@ broken no /tmp"
for test in /tests/*; do
    # Without JIT or BTF, what differs is how a program is loaded, and how its octets are read: what
    # rules make of that is the same.
    case $variant:${test##*/} in
    plain:* | *:load* | *:program | *:verdict_checks | *:verdict_checksums | *:verdict_wire) ;;
    *) continue ;;
    esac
    echo "@@ begin ${test##*/}"
    "$test"
    status=$?
    # The test's last line may be unfinished.
    echo
    echo "@@ end ${test##*/} $status"
done
echo "@@ done"
poweroff -f
