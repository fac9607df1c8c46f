#!/bin/sh
exec java -Xmx64M -Duser.home=/tmp @/etc/cassandra/jvm.options -cp '/opt/cassandra/lib/*' \
    org.apache.cassandra.tools.NodeTool "$@"
