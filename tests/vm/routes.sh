# A program that serves requests to itself is recorded by route: what it does for them is on their routes.
cd /tmp
agent record --event alloc --by route --output /tmp/a.folded --report none -- asks 20
agent record --wall --by route --frequency 499 --output /tmp/r.folded --report json -- asks 1000 >/tmp/report.json

awk -F ';' '
    { n = $0; sub(/.* /, "", n); sums[$2 ~ / \/|^\[no request/ ? $2 : "no route"] += n }
    END {
        for (route in sums) print sums[route], route
        exit !(sums["GET /items/{n}"] > 0 && sums["[no request]"] > 0)
    }' /tmp/r.folded || { cat /tmp/r.folded; exit 1; }
grep -q secret /tmp/r.folded && { echo "a query left the kernel"; exit 1; }
lost=$(tr -d ' \n' </tmp/report.json | grep -o '"lost":[0-9]*' | head -n 1)
[ "$lost" = '"lost":0' ] || { echo "samples were lost, or the report has no count"; exit 1; }
