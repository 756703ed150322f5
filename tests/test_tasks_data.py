"""The built-in tasks on data: layout, errors, resumable batches, vocabulary, padding, causality; and the real sets."""

import io
import os
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize import Trial
from stepsize.task._batches import POOL, Shuffled
from stepsize.task.built_in import _data, _images, _reviews, _shakespeare, _words
from stepsize.task.built_in._cifar10 import cifar10, cifar10_small, crop_and_flip, resnet18
from stepsize.task.built_in._data import CIFAR10, IMDB, MNIST, ROTTEN_TOMATOES, SHAKESPEARE, Source
from stepsize.task.built_in._mnist import mnist
from stepsize.task.built_in._mnist import network as mnist_network
from stepsize.task.built_in._reviews import Reader, imdb, rotten_tomatoes
from stepsize.task.built_in._shakespeare import shakespeare
from stepsize.task.built_in._transformer import Transformer

datasets = pytest.importorskip("datasets")
pillow = pytest.importorskip("PIL.Image")

REAL = Path(os.environ.get("STEPSIZE_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
TASKS = [mnist, cifar10, cifar10_small, imdb, rotten_tomatoes, shakespeare]


@pytest.fixture(autouse=True)
def _apart(tmp_path, monkeypatch):
    """What is decoded and what the datasets library makes of files stays in the test's own folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.delenv("STEPSIZE_DATA", raising=False)


def png(pixels, mode=None):
    buffer = io.BytesIO()
    image = pillow.fromarray(pixels)
    (image.convert(mode) if mode else image).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def grey(generator, size=28):
    return generator.integers(0, 256, (size, size), dtype=np.uint8)


def colour(generator, size=32):
    return generator.integers(0, 256, (size, size, 3), dtype=np.uint8)


def write(folder, split, columns, features):
    folder.mkdir(parents=True, exist_ok=True)
    rows = datasets.Dataset.from_dict(columns, features=datasets.Features(features))
    rows.to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))


def write_images(folder, make=grey, column="image", classes=10, **counts):
    generator = np.random.default_rng(0)
    features = {column: datasets.Image(), "label": datasets.ClassLabel(num_classes=classes)}
    for split, count in (counts or {"train": 60, "test": 20}).items():
        images = [png(make(generator)) for _ in range(count)]
        write(folder, split, {column: images, "label": [index % classes for index in range(count)]}, features)
    return folder


GOOD, BAD = ["lovely film", "a joy to see", "great and warm acting !"], ["dull", "a waste of time", "bad bad plot"]


def write_texts(folder, splits=("train", "validation", "test"), count=60):
    features = {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    for split in splits:
        texts = [(BAD, GOOD)[index % 2][index % 3] + f" {split}{index}" for index in range(count)]
        write(folder, split, {"text": texts, "label": [index % 2 for index in range(count)]}, features)
    return folder


@pytest.fixture
def sets(tmp_path, monkeypatch):
    """A folder with a small copy of each set's layout."""
    parent = tmp_path / "sets"
    write_images(parent / "mnist", train=80, test=20)
    write_images(parent / "cifar10", make=colour, column="img", train=150, test=20)
    write_texts(parent / "imdb", ("train", "test"), count=80)
    write_texts(parent / "rotten_tomatoes")
    (parent / "tiny_shakespeare").mkdir()
    lines = ["First Citizen:", "Before we proceed any further, hear me speak.", "", "All:", "Speak, speak.", ""]
    (parent / "tiny_shakespeare" / "input.txt").write_text("\n".join(lines * 120))
    monkeypatch.setenv("STEPSIZE_DATA", str(parent))
    return parent


# batches


def drawing(picked, generator):
    return picked, torch.rand(2, generator=generator)


def batches(examples=23, size=4, seed=0, lengths=None):
    return Shuffled(examples, size, torch.Generator().manual_seed(seed), drawing, lengths)


@settings(deadline=None, max_examples=60)
@given(
    examples=st.integers(1, 40),
    size=st.integers(1, 12),
    before=st.integers(0, 30),
    by_length=st.booleans(),
    again=st.integers(0, 10),
)
def test_batches_that_were_stopped_go_on_as_if_they_never_were(examples, size, before, by_length, again):
    size = min(size, examples)
    lengths = torch.arange(examples) % 7 + 1 if by_length else None
    whole, first, second = (batches(examples, size, seed, lengths) for seed in (1, 1, 2))
    expected = [next(whole) for _ in range(before + 12)]
    given_before = [next(first) for _ in range(before)]
    saved = io.BytesIO()
    torch.save(first.state_dict(), saved)
    for _ in range(again):  # a state is a copy: what its owner does later does not change it
        next(first)
        next(second)
    saved.seek(0)
    second.load_state_dict(torch.load(saved, weights_only=True))
    given = given_before + [next(second) for _ in range(12)]
    for ours, theirs in zip(given, expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("by_length", [False, True])
def test_an_epoch_has_every_example_once_and_the_next_one_another_order(by_length):
    lengths = torch.arange(24) % 5 + 1 if by_length else None
    each = batches(24, 4, lengths=lengths)
    epochs = [torch.cat([next(each)[0] for _ in range(6)]) for _ in range(3)]
    for epoch in epochs:
        assert epoch.sort().values.tolist() == list(range(24))
    assert not torch.equal(epochs[0], epochs[1])
    ragged = batches(23, 4)
    assert len(set(torch.cat([next(ragged)[0] for _ in range(5)]).tolist())) == 20


def test_batches_by_length_waste_little_and_stand_in_random_order():
    lengths = torch.randint(1, 400, (4 * POOL * 8,), generator=torch.Generator().manual_seed(0))
    each = batches(len(lengths), 8, lengths=lengths)
    chosen = [lengths[next(each)[0]] for _ in range(4 * POOL)]
    read, given = sum(int(8 * batch.max()) for batch in chosen), int(lengths.sum())
    assert read < 1.05 * given
    longest = torch.stack([batch.max() for batch in chosen]).float()
    position = torch.arange(len(longest)).float()
    assert abs(torch.corrcoef(torch.stack([longest, position]))[0, 1]) < 0.2


def test_batches_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="batch_size must be at most 23, the number of examples, got 24"):
        batches(23, 24)
    with pytest.raises(ValueError, match="batch_size must be a whole number >= 1"):
        batches(23, 0)
    with pytest.raises(ValueError, match="lacks now"):
        batches().load_state_dict({key: value for key, value in batches().state_dict().items() if key != "now"})
    with pytest.raises(ValueError, match=r"size of the saved batches must be 4, as here, got 5"):
        batches().load_state_dict(batches(size=5).state_dict())


# all tasks on small sets of the layout


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_task_trains_and_is_resumed_on_any_set_of_the_layout(task, sets):
    def start():
        return task.start(Trial(task.name, {"lr": 1e-3, "batch_size": 4}, 0, 4))

    run = start()
    assert task.examples() == {"mnist": 72, "cifar10": 135, "imdb": 72, "rotten-tomatoes": 60}.get(
        task.name.removesuffix("-small"), task.examples()
    )
    run.model(task.example())
    if task is cifar10:
        return  # a step of the full network is dear; its small twin goes all the way
    run.advance(2)
    saved = io.BytesIO()
    torch.save(run.state(), saved)
    saved.seek(0)
    losses = run.advance(2)
    again = start()
    again.load_state(torch.load(saved, weights_only=True))
    assert again.advance(2) == losses
    assert np.isfinite(run.score())
    assert run.metrics().keys() == {"validation_loss", "accuracy"}
    assert run.test().keys() == (set() if task is shakespeare else {"test_loss", "test_accuracy"})
    assert all(0 <= value <= 1 for name, value in {**run.metrics(), **run.test()}.items() if "accuracy" in name)


def test_the_sets_own_folder_will_do_and_any_size_and_number_of_classes(tmp_path, monkeypatch):
    folder = write_images(tmp_path / "mine", make=lambda generator: colour(generator, 12), column="photo", classes=3)
    monkeypatch.setenv("STEPSIZE_DATA", str(folder))
    for task in (mnist, cifar10_small):
        assert task.model()(task.example()).shape == (1, 3)


def test_a_validation_split_is_used_where_there_is_one(tmp_path, monkeypatch):
    write_images(tmp_path / "mnist", train=30, validation=12, test=4)
    monkeypatch.setenv("STEPSIZE_DATA", str(tmp_path / "mnist"))
    data = _images.image_data(MNIST)
    assert (len(data.train), len(data.validation), len(_images.final_images(MNIST))) == (30, 12, 4)


def test_images_are_the_pixels_that_were_written_standardised_by_the_training_rows(tmp_path, monkeypatch):
    write_images(tmp_path, make=colour, column="img", train=40)
    generator = np.random.default_rng(0)
    pixels = torch.tensor(np.stack([colour(generator) for _ in range(40)]))
    monkeypatch.setenv("STEPSIZE_DATA", str(tmp_path))
    data = _images.image_data(CIFAR10)
    assert torch.equal(data.train.pixels, pixels[:36])
    assert torch.equal(data.validation.pixels, pixels[36:])
    inputs = data.inputs(data.train.pixels)
    assert inputs.shape == (36, 3, 32, 32)
    torch.testing.assert_close(inputs.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(inputs.std((0, 2, 3)), torch.ones(3), atol=1e-3, rtol=0)
    assert torch.equal(
        inputs.argmax(), pixels[:36].float().sub(data.mean).div(data.spread).permute(0, 3, 1, 2).argmax()
    )


def test_rows_held_out_are_the_last_but_of_a_sorted_set_some_of_each_class():
    kept, out = _data.held_out(torch.arange(100) % 10)
    assert out.tolist() == list(range(90, 100))
    kept, out = _data.held_out(torch.arange(1000) // 500)
    assert sorted([*kept.tolist(), *out.tolist()]) == list(range(1000))
    assert 20 < int((out < 500).sum()) < 80
    assert len(_data.held_out(torch.zeros(60_000))[1]) == 5_000


def test_decoded_images_are_kept_and_made_again_when_the_files_or_the_kept_ones_change(tmp_path, monkeypatch):
    monkeypatch.setattr(_images, "WORTH_KEEPING", 1)
    folder = write_images(tmp_path / "mnist", train=20, test=4)
    classes, first = _images._decoded.__wrapped__(MNIST, folder)
    (kept,) = (tmp_path / "cache" / "stepsize").iterdir()
    with monkeypatch.context() as no_library:
        no_library.setattr(_data, "load", lambda *_: pytest.fail("read again"))
        again = _images._decoded.__wrapped__(MNIST, folder)
    assert again[0] == classes == 10
    assert all(torch.equal(first[name].pixels, again[1][name].pixels) for name in ("train", "test"))
    kept.write_bytes(kept.read_bytes()[:-2000])
    assert torch.equal(_images._decoded.__wrapped__(MNIST, folder)[1]["train"].pixels, first["train"].pixels)
    write_images(folder, train=21, test=4)
    assert len(_images._decoded.__wrapped__(MNIST, folder)[1]["train"]) == 21


# errors: each one line, with what is there and what to do


def one_line(error, *parts):
    text = str(error.value)
    assert "\n" not in text
    for part in parts:
        assert part in text, text


def refused(monkeypatch, task, folder, *parts, error=(ValueError, OSError)):
    monkeypatch.setenv("STEPSIZE_DATA", str(folder))
    with pytest.raises(error) as caught:
        task.examples()
    one_line(caught, *parts)


def test_a_folder_that_is_missing_empty_or_of_other_sets(tmp_path, monkeypatch):
    refused(monkeypatch, mnist, tmp_path / "nowhere", "STEPSIZE_DATA must be", "'mnist'", "there is no such folder")
    (tmp_path / "mnist").mkdir()
    refused(monkeypatch, mnist, tmp_path, "it is empty")
    refused(monkeypatch, imdb, tmp_path, "a sub-folder 'imdb'", "it has mnist")


def test_a_folder_that_is_damaged(tmp_path, monkeypatch, capfd):
    (tmp_path / "train-00000-of-00001.parquet").write_bytes(b"PAR1 this is no parquet file PAR1")
    refused(monkeypatch, mnist, tmp_path, "data must be a folder with the data set mnist in the hub's layout")
    refused(monkeypatch, rotten_tomatoes, tmp_path, "data must be a folder with the data set rotten_tomatoes")
    assert capfd.readouterr() == ("", "")


def test_columns_that_are_not_there_are_named_with_those_that_are(tmp_path, monkeypatch):
    images, texts = write_images(tmp_path / "a"), write_texts(tmp_path / "b")
    refused(monkeypatch, imdb, images, "a column of the kind text", "image (Image), label (int64)")
    refused(monkeypatch, mnist, texts, "a column of the kind Image", "text (string), label (int64)")
    write(tmp_path / "c", "train", {"text": ["a"] * 20}, {"text": datasets.Value("string")})
    refused(monkeypatch, imdb, tmp_path / "c", "a column of the kind ClassLabel", "text (string)")


def test_a_split_that_is_missing(tmp_path, monkeypatch):
    refused(monkeypatch, mnist, write_images(tmp_path / "a", test=20), "a split 'train', got test")
    refused(monkeypatch, imdb, write_texts(tmp_path / "b", ("test",)), "a split 'train', got test")
    monkeypatch.setenv("STEPSIZE_DATA", str(write_images(tmp_path / "c", train=20)))
    with pytest.raises(ValueError) as caught:
        mnist.test(mnist.model())
    one_line(caught, "a split 'test', got train")


def test_labels_that_are_no_class(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    labels = [0, 1] * 10
    for name, wrong in (("below", -1), ("none", None)):
        features = {"image": datasets.Image(), "label": datasets.ClassLabel(num_classes=2)}
        columns = {"image": [png(grey(generator)) for _ in labels], "label": [*labels[:-1], wrong]}
        write(tmp_path / name, "train", columns, features)
        refused(monkeypatch, mnist, tmp_path / name, "label of row 19 of the split train", "one of 0 to 1, got -1")


def test_texts_whose_labels_are_no_class(tmp_path, monkeypatch):
    features = {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    for name, wrong, said in (("below", -1, "one of 0 to 1, got -1"), ("none", None, "got -1")):
        columns = {"text": ["dull"] * 20, "label": [0, 1] * 9 + [0, wrong]}
        write(tmp_path / name, "train", columns, features)
        write(tmp_path / name, "test", {"text": ["dull"] * 4, "label": [0, 1] * 2}, features)
        refused(monkeypatch, imdb, tmp_path / name, "label of row 19 of the split train", said)


def test_images_of_other_sizes_and_modes(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(num_classes=2)}

    def refused_images(name, images, *parts):
        write(tmp_path / name, "train", {"image": images, "label": [0, 1] * (len(images) // 2)}, features)
        refused(monkeypatch, mnist, tmp_path / name, *parts)

    many = [png(grey(generator)) for _ in range(19)]
    refused_images("size", [*many, png(grey(generator, 30))], "row 19", "like row 0", "(30, 30)")
    refused_images("mode", [*many, png(colour(generator, 28))], "row 19", "like row 0", "RGB")
    refused_images("alpha", [png(colour(generator), "RGBA")] * 20, "mode of the image of row 0", "L (grey) or RGB")
    refused_images("damaged", [*many, {"bytes": b"no image", "path": None}], "row 19", "cannot be read")
    refused_images("few", many[:8], "at least 10 training images, got 8")


def test_images_too_small_for_the_network_and_batches_too_large_for_the_data(tmp_path, monkeypatch, sets):
    with pytest.raises(ValueError, match="batch_size must be at most 72"):
        mnist.start(Trial("mnist", {"lr": 1e-3, "batch_size": 73}, 0, 4))
    small = write_images(tmp_path / "small", make=lambda generator: grey(generator, 5), train=20)
    monkeypatch.setenv("STEPSIZE_DATA", str(small))
    with pytest.raises(ValueError, match="at least 6 pixels, got"):
        mnist.model()
    with pytest.raises(ValueError, match="at least 8 pixels, got"):
        cifar10_small.model()


def test_a_text_too_short(tmp_path, monkeypatch):
    (tmp_path / "input.txt").write_text("To be, or not to be")
    refused(monkeypatch, shakespeare, tmp_path, "at least 1,920 characters of text, got 19")


def test_without_folder_and_hub_one_line_names_both_ways_out(monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OSError) as caught:
        _data.load(Source("roses", "nobody/roses"), None)
    one_line(caught, "the data set roses is not here", "--data DIR or STEPSIZE_DATA", "nobody/roses")
    assert huggingface_hub.constants.HF_HUB_OFFLINE is True


def test_an_unreachable_hub_is_left_alone_after_one_question(monkeypatch):
    import huggingface_hub.constants

    seen = []

    def load(name, revision):
        seen.append((name, huggingface_hub.constants.HF_HUB_OFFLINE))
        raise ConnectionError("no copy")

    monkeypatch.setattr(_data, "_unreachable", lambda source: TimeoutError("no answer"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(OSError) as caught:
        _data.load(IMDB, None)
    one_line(caught, "stanfordnlp/imdb (TimeoutError: no answer)")
    assert seen == [("stanfordnlp/imdb", True)]  # its cache is asked, without trying the network again
    assert huggingface_hub.constants.HF_HUB_OFFLINE is False


def test_loading_is_quiet_and_leaves_the_librarys_settings(tmp_path, capfd):
    write_images(tmp_path / "mnist")
    bars, level = datasets.are_progress_bars_disabled(), datasets.logging.get_verbosity()
    capfd.readouterr()  # what writing them said
    _data.load(MNIST, tmp_path / "mnist")
    assert capfd.readouterr() == ("", "")
    assert (datasets.are_progress_bars_disabled(), datasets.logging.get_verbosity()) == (bars, level)


# words


def test_words():
    assert _words.words_of("It's GREAT!<br /><br />Or, not-so 2 good...") == [
        *("it's", "great", "!"),
        *("or", "not", "so", "2", "good"),
    ]
    assert _words.words_of("") == []


def test_the_vocabulary_is_of_the_training_texts_alone(sets):
    data = _reviews._review_data(ROTTEN_TOMATOES, sets / "rotten_tomatoes", 60)
    assert {"lovely", "train0", "!"} <= set(data.vocabulary)
    assert not {"validation0", "test0"} & set(data.vocabulary)
    assert data.validation.numbers[data.validation.starts + data.validation.lengths - 1].unique().tolist() == [1]
    held = _reviews._review_data(IMDB, sets / "imdb", 400)
    words = {f"train{index}" for index in range(80)}
    assert (len(held.train), len(held.validation), len(words & set(held.vocabulary))) == (72, 8, 72)


def test_the_vocabulary_keeps_the_most_frequent_words_and_texts_their_first(monkeypatch):
    monkeypatch.setattr(_words, "LARGEST", 2)
    vocabulary = _words.vocabulary_of([["b", "a", "b", "c"], ["b", "a"]])
    assert vocabulary == {"b": 2, "a": 3}
    texts = _words.numbered([["a", "c", "b"], [], ["b"] * 9], torch.tensor([0, 1, 0]), vocabulary, longest=4)
    assert texts.padded(torch.tensor([0, 1, 2])).tolist() == [[3, 1, 2, 0], [1, 0, 0, 0], [2, 2, 2, 2]]
    assert texts.padded(torch.tensor([1])).tolist() == [[1]]


def test_padding_makes_no_difference():
    torch.manual_seed(0)
    reader = Reader(50, 2)
    numbers = torch.randint(1, 50, (3, 7))
    padded = torch.cat([numbers, torch.zeros(3, 5, dtype=torch.int64)], 1)
    torch.testing.assert_close(reader(padded), reader(numbers))
    assert not torch.allclose(reader(numbers[:, :6]), reader(numbers))


def test_dropped_words_are_unknown_and_padding_stays(sets):
    each = rotten_tomatoes.batches(torch.Generator().manual_seed(0), 20)
    numbers = torch.cat([next(each)[0].flatten() for _ in range(300)])
    share = float((numbers[numbers != 0] == 1).double().mean())
    assert 0.08 < share < 0.12  # no training word is unknown otherwise


# networks


@pytest.mark.parametrize("edge", [1, 4])
def test_what_is_moved_and_mirrored_is_still_the_image(edge):
    pixels = torch.randint(1, 256, (200, 6, 7, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    changed = crop_and_flip(edge)(pixels, torch.Generator().manual_seed(1))
    edged = torch.nn.functional.pad(pixels, (0, 0, edge, edge, edge, edge))
    places = set()
    for image, wide in zip(changed, edged, strict=True):
        cuts = {(y, x): wide[y : y + 6, x : x + 7] for y, x in product(range(2 * edge + 1), repeat=2)}
        found = [(*at, False) for at, cut in cuts.items() if torch.equal(image, cut)]
        found += [(*at, True) for at, cut in cuts.items() if torch.equal(image, cut.flip(1))]
        assert found
        places.add(found[0])
    assert {place[0] for place in places} == {place[1] for place in places} == set(range(2 * edge + 1))
    assert {place[2] for place in places} == {False, True}


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_networks_have_the_size_they_say():
    assert parameters(mnist_network((1, 28, 28), 10)) == 1_199_882
    assert parameters(resnet18(16)((3, 32, 32), 10)) == 701_466
    assert parameters(resnet18(64)((3, 32, 32), 10)) == 11_173_962
    assert parameters(Reader(20_002, 2)) == 20_002 * 100 + 4 * 128 * (100 + 128 + 2) + 257 * 2
    assert parameters(Transformer(65)) == 65 * 128 + 64 * 128 + 4 * (12 * 128**2 + 2 * 128) + 128


def test_what_comes_later_does_not_change_what_is_guessed_earlier():
    torch.manual_seed(0)
    model = Transformer(20, context=16, width=32)
    one = torch.randint(20, (4, 16))
    other = torch.cat([one[:, :9], torch.randint(20, (4, 7))], 1)
    torch.testing.assert_close(model(one)[:, :9], model(other)[:, :9])
    assert not torch.allclose(model(one)[:, 9:], model(other)[:, 9:])


def test_windows_are_followed_by_the_next_character_and_cover_the_text(sets):
    data = _shakespeare.data()
    x, y = _shakespeare.windows(data.train, torch.tensor([0, 5]))
    assert torch.equal(x[:, 1:], y[:, :-1])
    assert torch.equal(y[1], data.train[6:70])
    text = "".join(data.characters[number] for number in torch.cat([data.train, data.validation]).tolist())
    assert text == (sets / SHAKESPEARE.name / "input.txt").read_text().removesuffix("\n")
    each = _shakespeare.batches(torch.Generator().manual_seed(0), 8)
    assert all(next(each)[0].shape == (8, 64) for _ in range(200))


# the real sets, where they are


@pytest.fixture(scope="module")
def real():
    if not REAL.is_dir():
        pytest.skip("the real data sets are not here; STEPSIZE_TEST_DATA says where they are")
    return REAL


def trained(task, lr, steps, real, monkeypatch):
    monkeypatch.undo()  # these may be kept between sessions
    monkeypatch.setenv("STEPSIZE_DATA", str(real))
    run = task.start(Trial(task.name, {"lr": lr}, 0, steps))
    run.advance(steps)
    return run


@pytest.mark.slow
def test_sixty_steps_of_mnist(real, monkeypatch):
    run = trained(mnist, 2e-3, 60, real, monkeypatch)
    assert mnist.examples() == 55_000
    assert run.metrics()["accuracy"] > 0.8


@pytest.mark.slow
def test_an_epoch_of_rotten_tomatoes(real, monkeypatch):
    run = trained(rotten_tomatoes, 3e-3, 266, real, monkeypatch)
    assert (rotten_tomatoes.examples(), rotten_tomatoes.epoch()) == (8_530, 266)
    assert run.metrics()["accuracy"] > 0.65


@pytest.mark.slow
def test_sixty_steps_of_shakespeare(real, monkeypatch):
    run = trained(shakespeare, 3e-3, 60, real, monkeypatch)
    assert len(_shakespeare.data().characters) == 65
    assert run.metrics()["validation_loss"] < 2.9
