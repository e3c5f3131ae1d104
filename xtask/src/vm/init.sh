#!/bin/busybox sh
# First process of the virtual machine: prepare, run every case, report on the console, power off.
/bin/busybox mkdir -p /usr/bin /usr/sbin /sbin
/bin/busybox --install -s /bin
export PATH=/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tracefs tracefs /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /tmp
ip link set lo up
dmesg -n 1

# Nothing that a case prints can pass for a verdict: its lines are all indented.
echo "VM kernel $(uname -r)"
for script in /cases/*.sh; do
    name=$(basename "$script" .sh)
    echo "START $name"
    timeout -k 5 60 sh -eu "$script" >/tmp/case.out 2>&1
    status=$?
    tail -n 60 /tmp/case.out | sed 's/^/  | /'
    if [ "$status" = 0 ]; then
        echo "CASE $name ok"
    else
        echo "CASE $name FAILED exit status $status"
    fi
done
echo "VM done"
poweroff -f
