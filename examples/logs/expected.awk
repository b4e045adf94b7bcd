# The totals of all three processors, by counting the lines of access-*.log: awk -f expected.awk ranges.txt access-*.log | sort
FILENAME == "ranges.txt" { split($1, part, "."); city[part[2]] = $3; next }
{
    split($1, part, ".")
    geo[(part[2] in city ? city[part[2]] : "(elsewhere)") " " substr($4, 2, 11)]++
    if ($9 >= 500)
        errors[$7]++
    latency[$7 " " int($11 * 1000 + 0.5)]++
}
END {
    for (key in geo) print "geo", key, geo[key]
    for (key in errors) print "errors", key, errors[key]
    for (key in latency) print "latency", key, latency[key]
}
