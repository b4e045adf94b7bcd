<?php
// A handler for the type greet in PHP. The protocol: docs/program-protocol.md.
$bide = fopen('php://fd/' . getenv('BIDE_FD'), 'r+');
$say = fn(array $line) => fwrite($bide, json_encode($line) . "\n");

fgets($bide); // bide's greeting
$say(['bide' => 1, 'types' => ['greet'], 'concurrency' => 1, 'sdk' => 'php']);
while (($text = fgets($bide)) !== false) {
    $line = json_decode($text, true);
    if (isset($line['leave'])) {
        break;
    }
    if (!isset($line['run'])) {
        continue; // a cancel: this one is quick enough to finish
    }
    try {
        if ($line['attempt'] < (int) ($line['headers']['awake'] ?? 1)) {
            throw new RuntimeException('not awake yet');
        }
        if (($line['body'] ?? '') === '') {
            $say(['run' => $line['run'], 'dead' => 'nobody to greet']);
        } else {
            $say(['run' => $line['run'], 'log' => 'info', 'text' => "hello, {$line['body']}"]);
            $say(['run' => $line['run'], 'done' => new stdClass()]);
        }
    } catch (Throwable $error) {
        $say(['run' => $line['run'], 'retry' => $error->getMessage(), 'trace' => (string) $error]);
    }
}
