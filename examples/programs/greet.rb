# A handler for the type greet in Ruby. The protocol: docs/program-protocol.md.
require 'json'

bide = IO.for_fd(Integer(ENV.fetch('BIDE_FD')), 'r+', sync: true)
say = ->(line) { bide.write(JSON.generate(line) + "\n") }

bide.gets # bide's greeting
say.call(bide: 1, types: ['greet'], concurrency: 1, sdk: 'ruby')
while (text = bide.gets)
  line = JSON.parse(text)
  break if line['leave']
  next unless line['run'] # a cancel: this one is quick enough to finish

  begin
    raise ArgumentError, 'not awake yet' if line['attempt'] < line.fetch('headers', {}).fetch('awake', '1').to_i

    if line['body'].to_s.empty?
      say.call(run: line['run'], dead: 'nobody to greet')
    else
      say.call(run: line['run'], log: 'info', text: "hello, #{line['body']}")
      say.call(run: line['run'], done: {})
    end
  rescue StandardError => e
    say.call(run: line['run'], retry: "#{e.class}: #{e.message}", trace: e.full_message(highlight: false))
  end
end
