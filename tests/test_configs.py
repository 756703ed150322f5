"""By name in configuration files: the page's own examples, with the real packages, each update's rate compared."""

import json
import pickle
import re
import subprocess
import sys

import pytest
import torch
from test_documents import FILE, QUIET, ROOT, execute, in_folder_with
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.optimizer import register_optimizer_step_pre_hook

from stepsize import Schedule, Scheduler, cosine, warmup
from stepsize.integrations import axolotl_plugin, fastai_callback, keras_schedule

BASE, TOTAL = 0.5, 20
SCHEDULE = (warmup("10%") >> cosine()).over(TOTAL)
WANTED = pytest.approx([BASE * SCHEDULE(k) for k in range(TOTAL)], abs=1e-15)
PAGE = (ROOT / "docs/configs.md").read_text(encoding="utf-8")
FILES = {FILE.findall(text)[0]: text for text in re.findall(r"^```\w+\n(# .*?)^```$", PAGE, re.MULTILINE | re.DOTALL)}
SECTIONS = re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
EXAMPLES = {name: re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL) for name, text in SECTIONS}
IN_TORCH = {name: programs[0] for name, programs in EXAMPLES.items() if programs and name not in ("fastai", "Keras")}
pytestmark = pytest.mark.filterwarnings(*QUIET)


@pytest.fixture
def rates():
    """The rates that updates of any torch optimizer are done with, read after everything that prepares an update."""
    found, seen = [], set()

    def last(optimizer, *_):
        if optimizer not in seen:
            seen.add(optimizer)
            optimizer.register_step_pre_hook(lambda o, *_: found.append(o.param_groups[0]["lr"]))

    with register_optimizer_step_pre_hook(last):
        yield found


@pytest.mark.parametrize("name", IN_TORCH)
def test_an_example_gives_each_update_the_rate_of_the_formula(name, tmp_path, rates):
    with in_folder_with(FILES, tmp_path):
        execute(IN_TORCH[name])
    assert rates == WANTED


@pytest.mark.parametrize("name", [name for name, programs in EXAMPLES.items() if programs])
def test_a_wrong_text_is_refused_in_the_words_of_parse(name, tmp_path):
    wrong = {file: text.replace("cosine()", "cosin()") for file, text in FILES.items()}
    program = EXAMPLES[name][0].replace("cosine()", "cosin()")
    with (
        in_folder_with(wrong, tmp_path),
        pytest.raises(Exception, match="there is no piece 'cosin'; did you mean 'cos"),
    ):
        execute(program)


def test_fastai_follows_the_schedule_over_what_fit_trains(tmp_path):
    with in_folder_with(FILES, tmp_path):
        names = execute(EXAMPLES["fastai"][0])
    learn = names["learn"]
    assert learn.recorder.hps["lr"] == WANTED
    both = pickle.loads(pickle.dumps(fastai_callback(lr="linear()", mom="absolute(linear(start=0.9, end=0.8))")))
    with learn.no_logging():
        learn.fit(3, lr=0.1, cbs=both)
        assert learn.recorder.hps["lr"] == pytest.approx([0.1 * (1 - k / 30) for k in range(30)])
        assert learn.recorder.hps["mom"] == pytest.approx([0.9 - 0.1 * k / 30 for k in range(30)])
        learn.fit(2, cbs=fastai_callback(**names["settings"]), start_epoch=1)
        assert learn.recorder.hps["lr"] == pytest.approx([BASE * SCHEDULE(k) for k in range(10, 20)])


def test_keras_follows_the_schedule_and_saves_it(tmp_path):
    with in_folder_with(FILES, tmp_path):
        names = execute(EXAMPLES["Keras"][0])
    keras, model, rates = names["keras"], names["model"], []
    assert (int(model.optimizer.iterations), model.optimizer.learning_rate) == (TOTAL, 0)

    def read(batch, logs):
        rates.append(model.optimizer.learning_rate)

    model.compile(keras.optimizers.SGD(keras_schedule(**names["settings"])), "mse")
    data = names["x"].numpy(), names["y"].numpy()
    recorder = keras.callbacks.LambdaCallback(on_train_batch_begin=read)
    model.fit(*data, batch_size=4, epochs=2, verbose=0, callbacks=[recorder])
    assert rates == WANTED
    model.compile(keras.optimizers.SGD(keras_schedule("absolute(linear(start=3, end=2))", 0.5, 2)), "mse")
    model.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").optimizer.learning_rate == 3


@pytest.mark.slow
def test_axolotl_trains_a_tiny_model_by_its_configuration(tmp_path):
    pytest.importorskip("axolotl.train")
    program = tmp_path / "program.py"
    program.write_text(AXOLOTL)
    more = "output_dir: ./out\nbf16: false\nfp16: false\ntf32: false\nlr_scheduler: linear\nwarmup_steps: 3\n"
    (tmp_path / "axolotl.yaml").write_text(FILES["axolotl.yaml"] + more)
    done = subprocess.run([sys.executable, program], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "rates.json").read_text()) == WANTED


AXOLOTL = """
import json, os, sys
os.environ.update(HF_HUB_OFFLINE="1", AXOLOTL_DO_NOT_TRACK="1", CUDA_VISIBLE_DEVICES="")

def make():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    special = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate([*special.values(), *"abcdefgh"])}, "<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, **special).save_pretrained("tiny")
    shape = dict(hidden_size=8, intermediate_size=16, num_attention_heads=2, num_key_value_heads=2)
    LlamaForCausalLM(LlamaConfig(vocab_size=12, num_hidden_layers=1, **shape)).save_pretrained("tiny")
    with open("data.jsonl", "w") as file:
        file.writelines(json.dumps({"text": "a b c d e f g h"[k % 8:]}) + "\\n" for k in range(32))

def train():
    from torch.optim.optimizer import register_optimizer_step_post_hook
    rates = []
    register_optimizer_step_post_hook(lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"]))
    from axolotl.cli.train import do_cli
    do_cli("axolotl.yaml")
    with open("rates.json", "w") as file:
        json.dump(rates, file)

if __name__ == "__main__":
    make()
    train()
"""


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (None, "stepsize must be a mapping with a plan, got None; write for example stepsize: "),
        ("cosine()", "stepsize must be a mapping with a plan, got 'cosine\\(\\)'"),
        ({"lr": "cosin()"}, "there is no piece 'cosin'; did you mean 'cosine'"),
        ({"lrr": "cosine()"}, "there is no argument 'lrr'; did you mean 'lr'"),
        ({"lr": "cosine()", "per_epoch": 0}, "per_epoch must be a finite number > 0, got 0"),
    ],
)
def test_axolotl_refuses_a_wrong_plan_when_it_reads_the_configuration(plan, said):
    pytest.importorskip("axolotl.integrations.base")
    with pytest.raises((TypeError, ValueError), match=said):
        axolotl_plugin().register({"plugins": [], "stepsize": plan})


def test_a_schedule_on_its_run_is_a_function_for_lambda_lr(tmp_path):
    def begun(function):
        optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=BASE)
        return optimizer, LambdaLR(optimizer, function)

    assert type(SCHEDULE(3)) is float
    for function in (SCHEDULE, pickle.loads(pickle.dumps(SCHEDULE)), SCHEDULE.compiled()):
        (optimizer, scheduler), found = begun(function), []
        for _ in range(TOTAL):
            found += scheduler.get_last_lr()
            optimizer.step()
            scheduler.step()
        assert found == WANTED
    torch.save(scheduler.state_dict(), tmp_path / "state.pt")
    again = begun(SCHEDULE.compiled())[1]
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert again.last_epoch == TOTAL


def test_last_epoch_of_torch_begins_a_run_and_nothing_else():
    optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=BASE)
    assert Scheduler(optimizer, "linear()", 4, last_epoch=-1).position == 0
    optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=BASE)
    with pytest.raises(
        ValueError, match="last_epoch must be -1, where a run begins, got 1; give the updates done before"
    ):
        Scheduler(optimizer, "linear()", 4, last_epoch=1)
    assert Scheduler(optimizer, "linear()", 4, last_epoch=1, position=3).get_last_lr() == [BASE / 4]
    assert Schedule.parse(str(SCHEDULE)) == SCHEDULE
