"""What deploy/ says is true of the repository: paths, options, names and times that have to agree."""
import pathlib
import re
import shlex
import unittest

try:
    import yaml
except ImportError:
    yaml = None

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"


def read(path):
    return (DEPLOY / path).read_text()


def manifests():
    """Each Kubernetes object of each file, with the file's name."""
    for file in sorted((DEPLOY / "kubernetes").rglob("*.yaml")):
        for one in yaml.safe_load_all(file.read_text()):
            yield file.name, one


def setting(text, name):
    return re.search(rf"^{name}=(.*)$", text, re.MULTILINE).group(1)


def option_value(words, name):
    return words[words.index(name) + 1]


class ContainerTest(unittest.TestCase):
    def sources(self):
        for line in read("Containerfile").splitlines():
            words = line.split()
            if words[:1] == ["COPY"] and not words[1].startswith("--from"):
                yield from words[1:-1]

    def test_copies_what_is_there(self):
        sources = list(self.sources())
        self.assertGreater(len(sources), 4)
        for source in sources:
            self.assertTrue((ROOT / source).exists(), source)

    def test_the_ignore_file_lets_through_what_is_copied(self):
        lines = (ROOT / ".containerignore").read_text().splitlines()
        kept = {line[1:] for line in lines if line.startswith("!")}
        self.assertEqual({source.split("/")[0] for source in self.sources()}, kept)

    def test_runs_as_nobody_in_particular(self):
        self.assertRegex(read("Containerfile"), r"(?m)^USER \d+:\d+$")


class SystemdTest(unittest.TestCase):
    def test_waits_for_running_answers(self):
        unit, environment = read("systemd/hachi.service"), read("systemd/hachi.env")
        grace = int(option_value(setting(environment, "HACHI_OPTIONS").split(), "--grace"))
        self.assertGreater(int(setting(unit, "TimeoutStopSec")), grace)

    def test_variables_are_set(self):
        unit, environment = read("systemd/hachi.service"), read("systemd/hachi.env")
        for name in re.findall(r"\$(HACHI_\w+)", setting(unit, "ExecStart")):
            self.assertTrue(setting(environment, name), name)


@unittest.skipIf(yaml is None, "this Python has no yaml")
class KubernetesTest(unittest.TestCase):
    def kind(self, name):
        return next(one for _, one in manifests() if one["kind"] == name and "selector" in one["spec"])

    def test_files_are_those_that_are_listed(self):
        for file in (DEPLOY / "kubernetes").rglob("kustomization.yaml"):
            one = yaml.safe_load(file.read_text())
            for path in one["resources"] + [patch["path"] for patch in one.get("patches", [])]:
                self.assertTrue((file.parent / path).exists(), f"{file}: {path}")

    def test_service_finds_the_pods(self):
        service, deployment = self.kind("Service"), self.kind("Deployment")
        template = deployment["spec"]["template"]
        self.assertEqual(service["spec"]["selector"], template["metadata"]["labels"])
        self.assertEqual(deployment["spec"]["selector"]["matchLabels"], template["metadata"]["labels"])
        names = [port["name"] for port in template["spec"]["containers"][0]["ports"]]
        self.assertIn(service["spec"]["ports"][0]["targetPort"], names)
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            self.assertIn(template["spec"]["containers"][0][probe]["httpGet"]["port"], names)

    def test_pods_have_time_to_end(self):
        pod = self.kind("Deployment")["spec"]["template"]["spec"]
        container = pod["containers"][0]
        pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
        grace = int(option_value(container["args"], "--grace"))
        self.assertGreater(pod["terminationGracePeriodSeconds"], pause + grace)

    def test_user_is_the_image_s(self):
        context = self.kind("Deployment")["spec"]["template"]["spec"]["securityContext"]
        self.assertIn(f"USER {context['runAsUser']}:{context['runAsGroup']}", read("Containerfile"))


class OptionsTest(unittest.TestCase):
    def used(self):
        yield from re.findall(r'"(--[a-z-]+)"', read("Containerfile").split("ENTRYPOINT")[1])
        yield from re.findall(r"--[a-z-]+", setting(read("systemd/hachi.env"), "HACHI_OPTIONS"))
        for script in (DEPLOY / "slurm").iterdir():
            for line in script.read_text().splitlines():
                if line.startswith("hachi serve"):
                    yield from (word for word in shlex.split(line) if word.startswith("--"))
        if yaml is not None:
            for _, one in manifests():
                if one["kind"] == "Deployment":
                    args = one["spec"]["template"]["spec"]["containers"][0]["args"]
                    yield from (word for word in args if word.startswith("--"))

    def test_are_those_of_the_server(self):
        sources = [*(ROOT / "src/cli").glob("serve*.cc"), *(ROOT / "src/cli").glob("loaded_model.cc"),
                   ROOT / "src/cli/gpu.cc"]
        known = {"--help"}
        for source in sources:
            known.update(re.findall(r'"[^"]*?(--[a-z-]+)"', source.read_text()))
        used = set(self.used())
        self.assertGreater(len(used), 5)
        self.assertLessEqual(used, known)


if __name__ == "__main__":
    unittest.main()
