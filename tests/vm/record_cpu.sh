# A program with three hot functions (3:2:1) is recorded; the hottest comes out on top and nothing is lost.
hot321 60 &
target=$!
trap 'kill $target' EXIT
sleep 1
agent record --pid $target --duration 5s --frequency 199 --output /tmp/x.folded --report json >/tmp/report.json

echo "self samples by function:"
awk '{ n = $NF; sub(/ [0-9]+$/, ""); sub(/.*;/, ""); self[$0] += n } END { for (f in self) print self[f], f }' \
    /tmp/x.folded | sort -rn >/tmp/self
head -n 5 /tmp/self
lost=$(tr -d ' \n' </tmp/report.json | grep -o '"lost":[0-9]*' | head -n 1)
echo "$lost"

read -r samples hottest </tmp/self
[ "$hottest" = spin_a ] || { echo "hottest function is '$hottest', not spin_a"; exit 1; }
[ "$samples" -ge 100 ] || { echo "only $samples samples in spin_a"; exit 1; }
[ "$lost" = '"lost":0' ] || { echo "samples were lost, or the report has no count"; exit 1; }
