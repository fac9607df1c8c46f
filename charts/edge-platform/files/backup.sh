# One at a time, whoever began it: a backup that is being made has no manifest yet.
exec 9> .lock
flock 9
# A backup under the time it was begun, in the working directory; then the oldest go, KEEP stay.  What was broken off has
# no manifest: it goes first, so that it never counts as one of them.
for one in 2*Z; do
    [ ! -d "$one" ] || [ -e "$one/manifest.json" ] || rm -r "$one"
done
# An engine of NetworkPolicies knows this pod's address some seconds after its start, and Cassandra may be on its way up.
tries=60
until edge store status --store "$STORE_URL" > /dev/null; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ]
    sleep 5
done
new=$(date -u +%Y%m%dT%H%M%SZ)
edge store backup "$new" --store "$STORE_URL"
ls -d 2*Z | sort -r | tail -n "+$((KEEP + 1))" | while read -r one; do rm -r "$one"; done
