# send.rb MESSAGES RATE DELAY_MS: push_bulk in thousands; with a RATE, that many a second, each with a delay. Prints the
# seconds it took once connected.
require_relative "bench"

messages, rate, delay_ms = ARGV.map(&:to_i)
body = "x" * 256
now = -> { Process.clock_gettime(Process::CLOCK_MONOTONIC) }
Sidekiq.redis(&:ping)
started = now.call
if rate.zero?
  messages.times.each_slice(1000) { |some| Sidekiq::Client.push_bulk("class" => Noop, "args" => some.map { [body] }) }
else
  messages.times do |number|
    ahead = started + number.to_f / rate - now.call
    sleep ahead if ahead > 0
    due = Time.now.to_f + delay_ms / 1000.0
    Noop.perform_at(due, body, due * 1000)
  end
end
puts now.call - started
