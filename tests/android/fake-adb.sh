#!/bin/bash
# A stand-in for adb. Its devices are folders beside it, their file systems are this machine's, and
# the programs that are put on them run under an emulator. Every call is written down.
state=$(dirname "$0")
printf '%s\n' "$*" >>"$state/calls"
die() { echo "adb: $*" >&2; exit 1; }
# What a test has forbidden fails with the words that it has chosen.
allowed() { [ ! -f "$state/forbidden/$1" ] || die "$(cat "$state/forbidden/$1")"; }
list() { sed 's/ /\t/' "$state/devices"; }

serial=
if [ "$1" = -s ]; then serial=$2; shift 2; fi
case "$1" in
version) echo "Android Debug Bridge version 1.0.41"; exit ;;
devices) echo "List of devices attached"; list; echo; exit ;;
track-devices)
    last=none
    while [ -f "$state/devices" ]; do
        now=$(list; echo end)
        if [ "$now" != "$last" ]; then
            text=${now%end}
            printf '%04x%s' "${#text}" "$text"
            last=$now
        fi
        sleep 0.1
    done
    exit ;;
esac

grep -q "^$serial device" "$state/devices" || die "device '$serial' not found"
device=$state/$serial
on_device() { printf '%s' "${1//\/data\/local\/tmp/$device/tmp}"; }
case "$1" in
reverse)
    case "$2" in
    --list) allowed list; cat "$device/reversed" ;;
    --remove) grep -v " $3 " "$device/reversed" >"$device/left"; mv "$device/left" "$device/reversed" ;;
    *) allowed reverse; echo "UsbFfs $2 $3" >>"$device/reversed" ;;
    esac ;;
push)
    allowed push
    to=$(on_device "$3")
    [ ! -d "$to" ] || to=$to/$(basename "$2")
    case "$2" in *.so) cp "$2" "$to"; exit ;; esac
    cp "$2" "$to.program"
    run="env LD_LIBRARY_PATH="
    [ -z "$EMULATOR" ] || run="$EMULATOR -E LD_LIBRARY_PATH="
    printf '#!/bin/sh\nexec %s"%s" "$0.program" "$@"\n' "$run" "$ANDROID_STAND_IN_LIBRARIES" >"$to"
    echo "$2: 1 file pushed" ;;
shell)
    shift
    [ "$1" != -n ] || shift
    export DEVICE=$device PATH="$state/commands:$PATH" ANDROID_STAND_IN_PROPERTIES=$device/properties
    cd "$device" || exit
    line=$(on_device "$1")
    case "$1" in "test -d /proc/"*)
        # Each device has processes of its own.
        grep -qzxF "ANDROID_STAND_IN_PROPERTIES=$device/properties" "${1#test -d }/environ"
        exit ;;
    esac
    case "$1" in *" exec "*) echo $$ >"$device/call" ;; esac
    if [ -f "$device/outlives" ] && [[ "$1" == *" exec "* ]]; then
        # The program goes on when this call is cut off.
        rm -f out && mkfifo out
        setsid sh -c "$line" >out 2>/dev/null &
        exec cat out
    fi
    exec sh -c "$line" ;;
logcat)
    # What an app has written is in a file of its own.
    last=${!#}; own=$device/log.${last#--pid=}
    [ -f "$own" ] || own=
    exec tail -q -n +1 -f "$device/log" ${own:+"$own"} ;;
*) die "unknown command $1" ;;
esac
