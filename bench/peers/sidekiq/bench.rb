# The job and the server's side, as Sidekiq's wiki has it. BENCH_PORT: Redis; BENCH_OUT: what ran, as JSON.
require "json"
require "sidekiq"

redis = { url: "redis://127.0.0.1:#{ENV.fetch("BENCH_PORT")}/0" }
Sidekiq.configure_client { |config| config.redis = redis }
Sidekiq.configure_server do |config|
  config.redis = redis
  # Delayed jobs are looked for this often; 5 s is the default, and less than one is said to burden Redis.
  config.options[:average_scheduled_poll_interval] = 1
end
Sidekiq.logger.level = Logger::WARN

SEEN = { runs: 0, first_us: 0, last_us: 0, late_ms: [] }
LOCK = Mutex.new

class Noop
  include Sidekiq::Worker
  sidekiq_options retry: 3

  def perform(_body, due_ms = 0)
    now_us = Process.clock_gettime(Process::CLOCK_REALTIME, :microsecond)
    LOCK.synchronize do
      SEEN[:first_us] = now_us if SEEN[:runs].zero?
      SEEN[:runs] += 1
      SEEN[:last_us] = now_us
      SEEN[:late_ms] << now_us / 1000.0 - due_ms if due_ms > 0
    end
  end
end

if ENV["BENCH_OUT"]
  Thread.new do
    written = -1
    loop do
      text = LOCK.synchronize { SEEN[:runs] == written ? nil : (written = SEEN[:runs]; SEEN.to_json.tap { SEEN[:late_ms].clear }) }
      File.write(ENV["BENCH_OUT"], text + "\n", mode: "a") if text
      sleep 0.1
    end
  end
end
