# A program that serves 200 requests to itself is followed: all of them are counted, on both sides, and no query is seen.
cd /tmp
agent requests --comm asks --tls --duration 25s --json >/tmp/requests.json &
agent=$!
sleep 15
asks 200 || exit 1
wait $agent || exit 1

grep -q secret /tmp/requests.json && { echo "a query left the kernel"; exit 1; }
tr -d ' \n' </tmp/requests.json >/tmp/said
for expected in '"method":"GET","route":"/items/{n}","status":200,"count":180' \
    '"method":"GET","route":"/missing","status":404,"count":20' \
    '"upstream":{"requests":200,' '"upstream_used":1,' '"accepted":1,' '"messages_lost":0,' '"heads_unread":0,' '"refused":null,'; do
    grep -qF "$expected" /tmp/said || { echo "not $expected"; cat /tmp/requests.json; exit 1; }
done
echo "200 requests, all counted"
