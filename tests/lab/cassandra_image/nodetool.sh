#!/bin/sh
# It runs for a moment, often: by these options it takes less than half of the processor's time.
exec java -Xmx64M -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Duser.home=/tmp @/etc/cassandra/jvm.options -cp '/opt/cassandra/lib/*' \
    org.apache.cassandra.tools.NodeTool "$@"
