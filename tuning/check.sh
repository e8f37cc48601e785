#!/bin/sh
# Reads every knob of this folder and changes none. Exit code 0: nothing failed. `overmind doctor`
# does the same with the configuration in hand.
set -u

warnings=0
failures=0

# say LEVEL NAME MEASURED [WANTED] [PAGE]
say() {
    printf '%-4s  %-14s  %s\n' "$1" "$2" "$3"
    case $1 in
    WARN) warnings=$((warnings + 1)) ;;
    FAIL) failures=$((failures + 1)) ;;
    esac
    if [ "$1" != OK ]; then
        printf '      %-14s  wanted: %s; see tuning/%s\n' '' "$4" "$5"
    fi
}

# The first line of a file, or nothing.
first_line() {
    if [ -r "$1" ]; then head -n 1 "$1"; fi
}

isolated=$(first_line /sys/devices/system/cpu/isolated)
if [ -n "$isolated" ]; then
    say OK isolation "CPUs $isolated"
else
    say WARN isolation "no isolated CPU" "isolcpus for the hot threads" cpu-isolation.md
fi

governors=$(cat /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor 2>/dev/null | sort -u | tr '\n' ' ')
case $governors in
'') say OK governor "not exposed (virtual machine, or set by firmware)" ;;
'performance ') say OK governor performance ;;
*) say WARN governor "$governors" performance governor.md ;;
esac

case $(first_line /sys/devices/system/cpu/smt/active) in
1) say WARN smt "two threads share a core" off smt.md ;;
*) say OK smt "off or not exposed" ;;
esac

hugepages=$(first_line /sys/kernel/mm/transparent_hugepage/enabled)
case $hugepages in
*'[always]'*) say WARN hugepages "$hugepages" madvise hugepages.md ;;
*) say OK hugepages "${hugepages:-not exposed}" ;;
esac

memlock=$(ulimit -l 2>/dev/null || echo unknown)
if [ "$memlock" = unlimited ]; then
    say OK memlock unlimited
elif [ "$memlock" -ge 1048576 ] 2>/dev/null; then
    say OK memlock "$memlock kB"
else
    say WARN memlock "$memlock kB in this shell" "1048576 kB or more" memlock.md
fi

rmem=$(first_line /proc/sys/net/core/rmem_max)
if [ "${rmem:-0}" -ge 33554432 ]; then
    say OK rmem-max "$rmem bytes"
else
    say WARN rmem-max "${rmem:-unknown} bytes" "33554432 or more" network-buffers.md
fi

clocksource=$(first_line /sys/devices/system/clocksource/clocksource0/current_clocksource)
case $clocksource in
tsc | arch_sys_counter) say OK clocksource "$clocksource" ;;
*) say WARN clocksource "${clocksource:-unknown}" tsc clocksource.md ;;
esac

if [ -n "$isolated" ]; then
    routed=$(cat /proc/irq/*/effective_affinity_list 2>/dev/null | grep -cxF "$isolated")
    if [ "$routed" -eq 0 ]; then
        say OK irq-affinity "no interrupt is routed to exactly CPUs $isolated"
    else
        say WARN irq-affinity "$routed interrupts are routed to CPUs $isolated" none irq-affinity.md
    fi
else
    say OK irq-affinity "no isolated CPU to keep clear"
fi

slack=$(first_line "/proc/$$/timerslack_ns")
say OK timer-slack "${slack:-unknown} ns in this shell; the unit sets 1"

kernel=$(uname -s)
if [ "$kernel" = Linux ]; then
    say OK kernel "$(uname -r)"
else
    say FAIL kernel "$kernel" Linux README.md
fi

echo "$warnings warnings, $failures failures"
[ "$failures" -eq 0 ]
