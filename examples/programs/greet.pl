#!/usr/bin/perl
# A handler for the type greet in Perl. The protocol: docs/program-protocol.md.
use strict;
use warnings;
use IO::Handle;
use JSON::PP;

my $json = JSON::PP->new->utf8;
open(my $bide, '+<&=', $ENV{BIDE_FD}) or die "this program is started by bide: $!";
$bide->autoflush(1);
sub say_line { print $bide $json->encode({@_}) . "\n" }

<$bide>; # bide's greeting
say_line(bide => 1, types => ['greet'], concurrency => 1, sdk => 'perl');
while (my $text = <$bide>) {
    my $line = $json->decode($text);
    last if $line->{leave};
    next unless $line->{run}; # a cancel: this one is quick enough to finish
    my @run = (run => $line->{run});
    my $good = eval {
        die "not awake yet\n" if $line->{attempt} < ($line->{headers}{awake} // 1);
        if (($line->{body} // '') eq '') {
            say_line(@run, dead => 'nobody to greet');
        } else {
            say_line(@run, log => 'info', text => "hello, $line->{body}");
            say_line(@run, done => {});
        }
        1;
    };
    say_line(@run, retry => $@) unless $good;
}
