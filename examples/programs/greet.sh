#!/bin/bash
# A handler for the type greet in bash. The protocol: docs/program-protocol.md.
read -r _ <&"$BIDE_FD" # bide's greeting
echo '{"bide":1,"types":["greet"],"concurrency":1,"sdk":"bash"}' >&"$BIDE_FD"
while read -r line <&"$BIDE_FD"; do
    [[ $line == '{"leave"'* ]] && exit 0
    [[ $line =~ ^\{\"run\":([0-9]+), ]] || continue # a cancel: this one is quick enough to finish
    run=${BASH_REMATCH[1]}
    if [[ $line == *'"body":""'* ]]; then
        echo "{\"run\":$run,\"dead\":\"nobody to greet\"}" >&"$BIDE_FD"
    else
        echo "{\"run\":$run,\"log\":\"info\",\"text\":\"hello\"}" >&"$BIDE_FD"
        echo "{\"run\":$run,\"done\":{}}" >&"$BIDE_FD"
    fi
done
