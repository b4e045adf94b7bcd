#!/usr/bin/python3
# brokers: rabbitmq
# seconds: 150
"""What is wrong with a connection to RabbitMQ is said: what, the remedy, 69 or 78, in time, and never a password."""

import json
import re
import shlex
import socket
import subprocess
import sys
import time
import uuid

sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/lib")
from bidetest.console import free_port  # noqa: E402
from bidetest.foreign import Foreign  # noqa: E402
from bidetest.harness import expect, main  # noqa: E402
from bidetest.rabbitmq import Server  # noqa: E402
from bidetest.waiting import wait_until  # noqa: E402

BROKER, CONFIG = 69, 78
CONNECT_S, LONG_S, ENDS_S = 20, 6, 60  # connect_timeout of the URL; one that is longer than the default; what ends by itself does
SECRET = "s3cr3t-pa55"


def authority(project):
    return project.url.split("@")[1]


def refused(project, url, code, *patterns, commands=(("worker", "--no-wait"), ("check",), ("status",)), connect_s=CONNECT_S):
    """Each command ends with `code` and says what each pattern looks for, and not the secret. Returns the longest time one took."""
    project.url, longest = url + ("&" if "?" in url else "?") + f"connect_timeout={connect_s}", 0
    project.configure()
    for command in commands:
        started = time.monotonic()
        done = project.bide(*command, expect=None, seconds=120)
        took, said = time.monotonic() - started, done.stdout + done.stderr
        print(f"bide {' '.join(command)}: exit {done.returncode} after {took:.2f} s: {done.stderr.strip()[:400]}")
        expect(done.returncode == code, f"{command}: exit {done.returncode}, not {code}: {said}")
        expect(took < ENDS_S, f"{command}: took {took:.1f} s")
        longest = max(took, longest)
        expect(SECRET not in said and "guest:guest" not in said, f"{command} shows a password: {said}")
        for pattern in patterns:
            expect(re.search(pattern, said, re.I), f"{command}: '{pattern}' is not in: {said}")
    return longest


def sending_is_refused(project, *patterns, code):
    done = project.bide("send", "probe", "{}", expect=code, seconds=120)
    for pattern in patterns:
        expect(re.search(pattern, done.stderr, re.I), f"'{pattern}' is not in: {done.stderr}")
    expect(not done.stdout, f"an id was printed: {done.stdout}")


def wrong_password(project):
    refused(project, f"amqp://guest:{SECRET}@{authority(project)}", CONFIG, r"refused", r"password")
    sending_is_refused(project, "password", code=CONFIG)


def unknown_vhost(project):
    refused(project, f"amqp://guest:guest@{authority(project)}/nowhere", CONFIG, r"nowhere", r"vhost")
    sending_is_refused(project, "vhost", code=CONFIG)


def refused_port(project):
    refused(project, f"amqp://guest:{SECRET}@127.0.0.1:{free_port()}", BROKER, r"no(thing|body) answers|refused", r"running|port")
    sending_is_refused(project, "no(thing|body) answers|refused", code=BROKER)


def port_that_never_answers(project):
    """Something listens and says nothing: the connect timeout ends it. A busy machine makes no wait shorter, so it is a longer
    one than the default that shows whose it was."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(16)
        url = f"amqp://guest:{SECRET}@127.0.0.1:{silent.getsockname()[1]}"
        silence = (project, url, BROKER, r"no answer in time|timed? ?out")
        refused(*silence, commands=(("worker", "--no-wait"), ("check",)), connect_s=1)
        took = refused(*silence, commands=(("status",),), connect_s=LONG_S)
        expect(took >= LONG_S, f"it ended after {took:.1f} s, not {LONG_S}")


def something_else_listens(project):
    """A plain AMQP connection to what speaks another protocol."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(16)
        port = other.getsockname()[1]
        answer = ["/usr/bin/python3", "-c", (
            "import socket,sys\ns=socket.socket(fileno=int(sys.argv[1]))\n"
            "while True:\n c,_=s.accept()\n c.sendall(b'HTTP/1.1 400 Bad Request\\r\\n\\r\\n')\n c.close()\n"),
            str(other.fileno())]
        process = subprocess.Popen(answer, pass_fds=[other.fileno()])
        try:
            refused(project, f"amqp://guest:{SECRET}@127.0.0.1:{port}", BROKER, r"AMQP|closed")
        finally:
            process.kill()
            process.wait()


def other_queue_arguments(project):
    """A work queue that exists as a classic one: named, with what differs and what to do."""
    project.name_space = "err" + uuid.uuid4().hex[:12]
    with Foreign(project) as foreign:
        foreign.channel.queue_declare(foreign.name("default"), durable=True)
    refused(project, project.url, CONFIG, re.escape(f"{project.name_space}.default"), "x-queue-type|arguments|differs",
            "namespace|delete", commands=(("worker", "--no-wait"), ("check",)))
    sending_is_refused(project, re.escape(f"{project.name_space}.default"), code=CONFIG)


def findings(project, **how):
    return [json.loads(line) for line in project.bide("check", "--json", **how).stdout.splitlines()]


def warnings(project):
    """What `bide check` warns of in the broker: subjects and texts."""
    return [(row["subject"], row["text"]) for row in findings(project)
            if row["severity"] == "warning" and not row["subject"].startswith("handler ")]


UNCHECKED = {"bindings": "list_bindings -p '{}'", "policies": "list_policies -p '{}'",
             "feature flags": "list_feature_flags", "dead-letter confirms": "environment", "consumer timeout": "environment"}


def what_amqp_cannot_show(project, server):
    """Listed as not checked, each with the command that shows it, which the server knows, for the URL's vhost."""
    server.ctl("add_vhost", "shop")
    server.ctl("set_permissions", "-p", "shop", "guest", ".*", ".*", ".*")
    project.url = server.urls[0] + "/shop"
    project.configure()
    project.bide("send", "probe", "{}")
    found = findings(project)
    found = [row for row in found if not row["subject"].startswith("handler ")]
    expect({row["severity"] for row in found} == {"ok", "not_checked"}, f"{found}")
    unchecked = {row["subject"]: row["remedy"] for row in found if row["severity"] == "not_checked"}
    expect(set(unchecked) == set(UNCHECKED), f"{unchecked}")
    for subject, command in UNCHECKED.items():
        expect(unchecked[subject].startswith("rabbitmqctl " + command.format("shop")), f"{unchecked[subject]}")
    shown = server.ctl(*shlex.split(unchecked["bindings"])[1:])
    expect(f"{project.name_space}.default.landing" in shown, f"the command does not show the bindings: {shown[:500]}")
    for subject in ("policies", "feature flags"):
        server.ctl(*shlex.split(unchecked[subject])[1:])
    said = project.bide("check").stdout
    expect(said.count("not checked") == len(UNCHECKED), said)


def make_certificates(folder):
    """A CA, another CA, a good certificate of the first and one that expired, both for localhost and 127.0.0.1."""
    def openssl(*arguments):
        done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True)
        expect(done.returncode == 0, f"openssl {' '.join(arguments)}: {done.stderr}")
    folder.mkdir()
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    (folder / "ca.conf").write_text(
        "[ca]\ndefault_ca=own\n[own]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\n"
        "policy=any\nunique_subject=no\n[any]\ncommonName=supplied\n")
    (folder / "index").write_text("")
    (folder / "serial").write_text("1000\n")
    for name in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN=bide {name}",
                "-keyout", f"{name}.key", "-out", f"{name}.pem")
    for name, since, until in (("good", "20200101000000Z", "20991231000000Z"),
                               ("expired", "20200101000000Z", "20210101000000Z")):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", f"{name}.key",
                "-out", f"{name}.csr")
        openssl("ca", "-batch", "-config", "ca.conf", "-cert", "ca.pem", "-keyfile", "ca.key", "-startdate", since,
                "-enddate", until, "-extfile", "names", "-in", f"{name}.csr", "-out", f"{name}.pem", "-notext")
    for key in folder.glob("*.key"):
        key.chmod(0o644)


def tls_settings(folder, name, port):
    """The second address is one that no certificate here is for."""
    return (f"listeners.ssl.default = 127.0.0.1:{port}\nlisteners.ssl.second = 127.0.0.2:{port}\n"
            f"ssl_options.cacertfile = {folder}/ca.pem\n"
            f"ssl_options.certfile = {folder}/{name}.pem\nssl_options.keyfile = {folder}/{name}.key\n")


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def a_server_of_its_own(project):
    """TLS and permissions need settings that the shared server does not have; one start serves them all."""
    folder, port = project.dir / "tls", free_port()
    make_certificates(folder)
    with Server(settings=tls_settings(folder, "good", port)) as server:
        wait_until(lambda: listens(port), 60, "the port for TLS")  # it opens after the other one
        missing_permission(project, server)
        nothing_declared_yet(project, server)
        what_amqp_cannot_show(project, server)
        unknown_authority(project, f"amqps://guest:{SECRET}@localhost:{port}", folder)
        good = f"amqps://guest:guest@localhost:{port}?cacertfile={folder}/ca.pem"
        project.name_space = "tls" + uuid.uuid4().hex[:12]
        project.url = good
        project.configure()
        project.bide("send", "probe", "{}", "--id", "over-tls")  # the refusals above are for their reasons
        project.work_until(lambda: project.journal_count() == 1)
        expect([line["id"] for line in project.journal()] == ["over-tls"], f"{project.journal()}")
        by_address(project, port, folder)
        refused(project, f"amqps://guest:{SECRET}@localhost:{server.port()}", BROKER, "TLS|closed")
        server.stop_node()
        settings = (server.dir / "node1.conf").read_text().replace("/good.", "/expired.")
        (server.dir / "node1.conf").write_text(
            settings + "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n")
        server.start_node()
        wait_until(lambda: listens(port), 60, "the port for TLS")
        refused(project, f"amqps://guest:{SECRET}@localhost:{port}?cacertfile={folder}/ca.pem", BROKER,
                "TLS", "expired|verif")
        certificate_of_the_client(project, f"amqps://guest:guest@localhost:{port}?verify=none", folder)


def by_address(project, port, folder):
    """An address is verified like a name: the certificate is for 127.0.0.1, and not for 127.0.0.2."""
    project.url = f"amqps://guest:guest@127.0.0.1:{port}?cacertfile={folder}/ca.pem"
    project.configure()
    project.bide("send", "probe", "{}", "--id", "by-address")
    project.work_until(lambda: project.journal_count() == 2)
    expect(project.journal()[-1]["id"] == "by-address", f"{project.journal()}")
    refused(project, f"amqps://guest:{SECRET}@127.0.0.2:{port}?cacertfile={folder}/ca.pem", BROKER, "TLS",
            "IP address")
    refused(project, f"amqps://guest:{SECRET}@127.0.0.1:{port}?cacertfile={folder}/other.pem", BROKER, "TLS", "verif")
    project.bide("status", "--broker", f"amqps://guest:guest@127.0.0.2:{port}?verify=none", seconds=120)


def certificate_of_the_client(project, url, folder):
    """The server wants one (its own has expired: not looked at here)."""
    refused(project, url, BROKER, "TLS", "certfile")
    refused(project, f"{url}&certfile={folder}/other.pem&keyfile={folder}/other.key", BROKER, "TLS", "certfile")
    project.url = f"{url}&certfile={folder}/good.pem&keyfile={folder}/good.key"
    project.configure()
    project.bide("send", "probe", "{}", "--id", "with-a-certificate")
    project.work_until(lambda: project.journal_count() == 3)
    expect(project.journal()[-1]["id"] == "with-a-certificate", f"{project.journal()}")


def unknown_authority(project, url, folder):
    refused(project, url, BROKER, "TLS", "cacertfile")
    refused(project, f"{url}?cacertfile={folder}/other.pem", BROKER, "TLS", "cacertfile|verif")
    done = project.bide("status", "--broker", f"{url}?cacertfile={folder}/nowhere.pem", expect=None)
    expect(done.returncode in (BROKER, CONFIG), f"exit {done.returncode}: {done.stderr}")
    expect("nowhere.pem" in done.stderr, f"the file is not named: {done.stderr}")


def missing_permission(project, server):
    """A user who may connect and read but neither declare nor write."""
    server.ctl("add_user", "reader", SECRET)
    server.ctl("set_permissions", "reader", "^$", "^$", ".*")
    url = f"amqp://reader:{SECRET}@127.0.0.1:{server.port()}"
    refused(project, url, CONFIG, "refused", "permission", "'reader'", commands=(("worker", "--no-wait"),))
    refused(project, url, CONFIG, "permission", "reader", commands=(("check",),))
    sending_is_refused(project, "permission", code=CONFIG)
    server.ctl("set_permissions", "reader", "^$", "^$", "^$")  # RabbitMQ 4.3 then refuses even to look
    refused(project, url, CONFIG, "permission", "reader", commands=(("check",), ("worker", "--no-wait")))
    sending_is_refused(project, "permission", code=CONFIG)


def nothing_declared_yet(project, server):
    """One line a kind on an empty namespace; once there is something, what is missing of it by name."""
    project.name_space = "err" + uuid.uuid4().hex[:12]
    server.ctl("set_permissions", "reader", "^$", ".*", ".*")  # it cannot declare what it looks for
    project.url = f"amqp://reader:{SECRET}@127.0.0.1:{server.port()}"
    project.configure()
    found = warnings(project)
    expect([subject for subject, _ in found] == ["exchanges", "queues"], f"{found}")
    expect(all(re.fullmatch(r"none of [1-9]\d* is declared yet", text) for _, text in found), f"{found}")
    project.bide("send", "probe", "{}", "--broker", server.urls[0])
    refused = [row for row in findings(project, expect=CONFIG) if row["severity"] == "error"]
    expect(len(refused) == 1 and "set_permissions -p '/' 'reader'" in refused[0]["remedy"], f"{refused}")
    server.ctl("set_permissions", "reader", r"^(?!.*\.hold\.5s\.1$)", ".*", ".*")
    with Foreign(project, server.urls[0]) as foreign:
        foreign.delete_queue("hold.5s.1")
    found = warnings(project)
    expect(found == [(f"queue {project.name_space}.hold.5s.1", "is missing")], f"{found}")


main(wrong_password, unknown_vhost, refused_port, port_that_never_answers, something_else_listens,
     other_queue_arguments, a_server_of_its_own)
