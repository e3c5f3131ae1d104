# A program that makes its memory grow by 48, 24 and 12 MiB in three functions is recorded.
cd /tmp
agent record --event faults --interval 4KiB --output /tmp/f.folded --report json -- grow >/tmp/report.json

awk '{ n = $NF; sub(/ [0-9]+$/, ""); sub(/.*;/, ""); self[$0] += n } END { for (f in self) print self[f], f }' \
    /tmp/f.folded | sort -rn >/tmp/self
head -n 5 /tmp/self
for expected in "touch_anonymous 48" "touch_file 24" "touch_shared 12"; do
    set -- $expected
    bytes=$(awk -v f="$1" '$2 == f { print $1 }' /tmp/self)
    mib=$(((${bytes:-0} + 524288) / 1048576))
    [ $((mib - $2)) -le 2 ] && [ $(($2 - mib)) -le 2 ] || { echo "$1: $mib MiB, not $2"; exit 1; }
done
lost=$(tr -d ' \n' </tmp/report.json | grep -o '"lost":[0-9]*' | head -n 1)
[ "$lost" = '"lost":0' ] || { echo "samples were lost, or the report has no count"; exit 1; }
