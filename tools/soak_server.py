"""The server of the soak: how it is started, what is watched of it from outside, how it is stopped."""

import asyncio
import os
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import time

START_SECONDS = 300
CHATML = ("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
          "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


def command_of(options, here):
    """What to run: --command as it is, or hachi serve of --model."""
    if options.command:
        return shlex.split(options.command)
    command = [options.hachi, "serve", f"m={options.model}", "--port", "0", "--data", str(options.out / "data"),
               "--context", str(options.context), "--max-batch", str(options.max_batch),
               "--max-waiting", str(options.max_waiting), "--access-log", str(options.out / "access.log")]
    if options.kv_cache:
        command += ["--kv-cache", options.kv_cache]
    if options.device:
        command += ["--device", options.device]
    if options.model.startswith("synthetic:"):  # has neither tokens nor a template of its own
        template = options.out / "chatml.jinja"
        template.write_text(CHATML)
        command += ["--tokenizer", options.tokenizer or str(here / "tokenizer.json"), "--chat-template", str(template)]
    elif options.tokenizer:
        command += ["--tokenizer", options.tokenizer]
    for text in options.serve_option:
        command += shlex.split(text)
    return command


class Server:
    def __init__(self, options, here):
        self.log = options.out / "server.log"
        environment = dict(os.environ)
        environment["LD_LIBRARY_PATH"] = f"{here / 'lib'}:{os.environ.get('LD_LIBRARY_PATH', '')}"
        with self.log.open("w") as file:
            self.process = subprocess.Popen(command_of(options, here), stdin=subprocess.DEVNULL, stdout=file,
                                            stderr=subprocess.STDOUT, env=environment)
        end = time.monotonic() + START_SECONDS
        while " is ready\n" not in self.text():
            if self.process.poll() is not None or time.monotonic() > end:
                self.process.kill()
                raise SystemExit(f"the server did not start:\n{self.text()[-3000:]}")
            time.sleep(0.05)
        self.port = int(re.search(r"listening on http://[^ ]*:(\d+)", self.text()).group(1))

    def text(self):
        return self.log.read_text(errors="replace")

    def is_running(self):
        return self.process.poll() is None

    def send(self, number):
        if self.is_running():
            self.process.send_signal(number)

    def kill(self):
        if self.is_running():
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()

    def status(self, name):
        """A number of /proc/PID/status: VmRSS in KiB, Threads."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii", errors="replace") as file:
            return int(re.search(rf"^{name}:\s+(\d+)", file.read(), re.MULTILINE).group(1))

    def files(self):
        """What each open descriptor is, without the numbers that tell sockets apart."""
        folder = f"/proc/{self.process.pid}/fd"
        out = []
        for number in os.listdir(folder):
            try:
                out.append(re.sub(r"\d+", "#", os.readlink(f"{folder}/{number}")))
            except OSError:
                continue  # closed meanwhile
        return sorted(out)


def gpu_mib():
    """Memory in use on all GPUs; None where there is no nvidia-smi."""
    if not shutil.which("nvidia-smi"):
        return None
    done = subprocess.run(["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"],
                          capture_output=True, text=True, check=False)
    return sum(map(int, done.stdout.split())) if done.returncode == 0 else None


class Series:
    """Memory over time."""

    def __init__(self, server, seconds):
        self.server, self.period = server, max(0.5, seconds / 120)
        self.started, self.samples = time.monotonic(), []

    async def watch(self):
        while self.server.is_running():
            gpu = await asyncio.to_thread(gpu_mib)
            try:
                self.samples.append((time.monotonic() - self.started, self.server.status("VmRSS") / 1024, gpu,
                                     self.server.status("Threads")))
            except (OSError, AttributeError):
                return  # it has just ended, which others will notice
            await asyncio.sleep(self.period)

    def growth(self, column):
        """From the second quarter's median to the last one's; None if too little was seen."""
        values = [sample[column] for sample in self.samples if sample[column] is not None]
        quarter = len(values) // 4
        if quarter == 0:
            return None
        return statistics.median(values[-quarter:]) - statistics.median(values[quarter:2 * quarter])

    def print(self):
        step = max(1, len(self.samples) // 20)
        print("  seconds   RSS MiB   GPU MiB   threads")
        for at, rss, gpu, threads in self.samples[::step]:
            print(f"{at:>9.0f}{rss:>10.1f}{'-' if gpu is None else gpu:>10}{threads:>10}")
