"""A training file either becomes a configuration, or the message says which key is wrong."""

from __future__ import annotations

import re

import pytest

from scatterml_ase.errors import InputError
from scatterml_ase.training.config import SplitRule, TrainingConfig, from_table, read_config


def written(tmp_path, text: str):
    path = tmp_path / "potential.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shortest_training_file_names_the_model_and_the_data(tmp_path):
    config = read_config(written(tmp_path, 'name = "x"\n[data]\ntrain = "a.xyz"\n'))
    assert isinstance(config, TrainingConfig)
    assert config.data.train == (str(tmp_path / "a.xyz"),)  # relative to the file
    assert config.run.dtype == "float32"


def test_the_file_of_the_shipped_silicon_model_is_valid(request):
    path = request.config.rootpath / "models" / "si" / "training.toml"
    config = read_config(path, data=["elsewhere.extxyz"])
    assert config.name == "si"
    assert config.data.train == ("elsewhere.extxyz",)
    assert set(config.data.ignore_stress["Surface"]) == {"yz", "xz"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[data]\ntrain = 'a'\n", ["'name'", "default"]),
        ("name = 'x'\n", ["'data'"]),
        ("name = 'x'\n[data]\n", ["[data]", "'train'"]),
        ("name = 'x'\n[data]\ntrain = 'a'\n[run]\nepoch = 3\n", ["'epoch'", "'epochs'"]),
        ("name = 'x'\n[data]\ntrain = 'a'\n[run]\nepochs = 'many'\n", ["'many'", "int"]),
        ("name = 'x'\n[data]\ntrain = 'a'\n[run]\nepochs = 0\n", ["run.epochs = 0", "1 or more"]),
        ("name = 'x'\n[data]\ntrain = 'a'\n[loss]\nkind = 'l3'\n", ["'l3'", "'huber'"]),
        ("name = 'x'\n[data]\ntrain = 'a'\n[optimizer]\namsgrad = 1\n", ["amsgrad", "bool"]),
        ("name = 'x'\ndata = 3\n", ["data = 3"]),
        ("name = 'x'\n[data]\ntrain = 'a'\nfraction = 0\n", ["data.fraction = 0.0"]),
        ("name = 'x'\n[data]\ntrain = 'a'\n[run]\nbatch_atoms = 'all'\n", ["'all'", "'auto'"]),
        ("name = 'x'\n[data]\ntrain = 'a'\n[run]\nbatch_edges = 0\n", ["batch_edges = 0"]),
        ("name = 'x'\n[data]\ntrain = 'a'\n[run]\ndevice = 'gpu'\n", ["'gpu'", "'cuda'"]),
        ("name = 'x'\n[data]\ntrain = 'a'\n[[split.rules]]\nkey = 'index'\n", ["rules", "'file'"]),
        ("name = 'x'\n[data]\ntrain = 'a'\n[run]\nminutes = 0\n", ["run.minutes = 0", "positive"]),
        ("name = 'x'\n[data]\ntrain = 'a'\n[run]\npatience = 0\n", ["run.patience = 0"]),
        ("name = 'x'\n[data]\ntrain = 'a'\n[run]\nthreads = 0\n", ["run.threads = 0"]),
        ("name = 'x'\n[data]\ntrain = 'a'\n[run]\nseed = -1\n", ["run.seed = -1"]),
        ("name = 'x'\n[data]\ntrain = 'a'\n[loss]\nforce_unit = 0\n", ["loss.force_unit = 0"]),
        ("name = 'x'\n[data]\ntrain = 'a'\n[loss]\nforces = nan\n", ["loss.forces = nan"]),
        (
            "name = 'x'\n[data]\ntrain = 'a'\n[loss]\n"
            "energy = 0\nenergy_late = 0\nforces = 0\nstress = 0\n",
            ["0 for energy, forces and stress"],
        ),
        (
            "name = 'x'\n[data]\ntrain = 'a'\n[optimizer]\nlearning_rate = inf\n",
            ["learning_rate = inf"],
        ),
        (
            "name = 'x'\n[data]\ntrain = 'a'\n[optimizer]\nclip_gradient = 0\n",
            ["clip_gradient = 0"],
        ),
        ("name = '../x'\n[data]\ntrain = 'a'\n", ["name = '../x'", "folder"]),
        ("name = ''\n[data]\ntrain = 'a'\n", ["name = ''"]),
        ("name = \n", ["not a TOML file"]),
        ("name = 'x'\n[data]\ntrain = '${NOT_SET_ANYWHERE}/a'\n", ["NOT_SET_ANYWHERE", "--data"]),
    ],
)
def test_a_wrong_key_is_named_with_the_remedy(tmp_path, text, words):
    with pytest.raises(InputError) as caught:
        read_config(written(tmp_path, text))
    for word in words:
        assert word in str(caught.value)


def test_a_missing_training_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.toml"):
        read_config(tmp_path / "nowhere.toml")


def test_environment_variables_say_where_the_data_are(tmp_path, monkeypatch):
    monkeypatch.setenv("PLACE_OF_DATA", str(tmp_path / "far"))
    text = 'name = "x"\n[data]\ntrain = ["${PLACE_OF_DATA}/a.xyz", "b.xyz"]\n'
    files = read_config(written(tmp_path, text)).data.train
    assert files == (str(tmp_path / "far" / "a.xyz"), str(tmp_path / "b.xyz"))


def test_an_integer_may_stand_for_a_real_number(tmp_path):
    text = 'name = "x"\n[data]\ntrain = "a"\n[loss]\nenergy = 2\nenergy_late = 5\n'
    loss = read_config(written(tmp_path, text)).loss
    assert loss.energy == 2.0
    assert isinstance(loss.energy_late, float)


def test_lists_of_a_configuration_made_in_python_may_be_tuples():
    table = {"name": "x", "data": {"train": ("a", "b")}}
    assert from_table(TrainingConfig, table, where="here").data.train == ("a", "b")


def test_rules_for_single_files_stand_in_tables_of_their_own(tmp_path):
    text = """name = "x"
    [data]
    train = ["a", "b"]
    ignore_stress = { "a:Surface" = "yz" }
    [[split.rules]]
    file = "a"
    hold_out = "^1$"
    [[split.rules]]
    file = "b"
    fraction = 0.5
    """
    config = read_config(written(tmp_path, text))
    assert config.data.ignore_stress == {"a:Surface": ("yz",)}
    assert config.split.rules == (
        SplitRule("a", hold_out=("^1$",)),
        SplitRule("b", fraction=0.5),
    )


def test_the_model_to_start_from_is_a_name_or_a_path_beside_the_file(tmp_path):
    text = 'name = "x"\n[data]\ntrain = "a"\n[model]\nstart = "{}"\nfreeze = "basis"\n'
    for given, read in (("si", "si"), ("./si", str(tmp_path / "si")), ("/far/si", "/far/si")):
        model = read_config(written(tmp_path, text.format(given))).model
        assert (model.start, model.freeze) == (read, ("basis",))


def test_automatic_batches_may_be_asked_for(tmp_path):
    run = read_config(written(tmp_path, """
        name = "x"
        [data]
        train = "a"
        [run]
        batch_atoms = "auto"
        batch_edges = 100
    """)).run  # fmt: skip
    assert (run.batch_atoms, run.batch_edges) == ("auto", 100)


def test_the_training_files_in_the_guide_are_valid(request, tmp_path, monkeypatch):
    monkeypatch.setenv("MLEARN", "/data")
    guide = (request.config.rootpath / "docs" / "training.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", guide, flags=re.DOTALL)
    names = [read_config(written(tmp_path, block)).name for block in blocks]
    assert names == ["copper", "elements-6"]
