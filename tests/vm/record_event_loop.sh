# A program that waits in epoll 20 times is recorded: 19 iterations, each of 30 ms and more, are stalls with a stack.
cd /tmp
agent record --event loop --frequency 199 --output /tmp/l.folded --report json -- waits 20 20 30 10 >/tmp/report.json

tr -d ' \n' </tmp/report.json | grep -o '"iterations":[0-9]*\|"stalls":[0-9]*\|"lost":[0-9]*' | sort -u >/tmp/said
cat /tmp/said
for expected in '"iterations":19' '"stalls":19' '"lost":0'; do
    grep -q "^$expected$" /tmp/said || { echo "not $expected"; exit 1; }
done
awk '{ n = $NF; all += n } /;wait_for_data;|;compute/ { named += n }
    END { printf "%d of %d ns named\n", named, all; exit !(named > 0.8 * all) }' /tmp/l.folded ||
    { cat /tmp/l.folded; exit 1; }
