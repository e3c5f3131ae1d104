# A program of 25 nested functions built without frame pointers is recorded: stacks are whole, down to main.
deep_nofp 60 &
target=$!
trap 'kill $target' EXIT
sleep 1
agent record --pid $target --duration 5s --frequency 199 --output /tmp/y.folded --report json >/tmp/report.json

tr -d ' \n' </tmp/report.json | grep -o '"stacks":{[^}]*}[^}]*}' | head -n 1
samples=$(awk '{ n += $NF } END { print n + 0 }' /tmp/y.folded)
whole=$(awk '/;main;deep_01;.*;deep_25/ { n += $NF } END { print n + 0 }' /tmp/y.folded)
echo "$whole of $samples samples lead from main through 25 functions"
head -n 1 /tmp/y.folded

[ "$samples" -ge 200 ] || { echo "only $samples samples"; exit 1; }
# The first and the last function of the chain are on their way in or out now and then.
[ $((whole * 100)) -ge $((samples * 98)) ] || { echo "less than 98 % are whole"; exit 1; }
