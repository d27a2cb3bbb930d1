"""Models on disk: what is written comes back, what is damaged is refused with the reason."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

import scatterml_ase.store as store
from scatterml_ase.card import Card, count, read_card
from scatterml_ase.errors import InputError, ModelError
from scatterml_ase.graph import edge_vectors, graph_from_atoms
from scatterml_ase.store import covering_models, list_models, load_model, save_model
from scatterml_ase.testing import structure_kinds

ABOUT = {
    "task": "potential",
    "training": {"data": "toy", "level_of_theory": "none", "licence": "CC0-1.0", "seed": 3},
    "metrics": {"force MAE (meV/Å)": 12.5},
    "limitations": "Never shown surfaces.",
}


@pytest.fixture
def folder(tmp_path, random_potential):
    save_model(random_potential, tmp_path / "sic", ABOUT)
    return tmp_path / "sic"


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """Make ``tmp_path`` the folder of the shipped models."""
    monkeypatch.setattr(store, "models_directory", lambda: tmp_path)
    return tmp_path


def energies(model):
    graph = graph_from_atoms(structure_kinds("Si")["crystal"], 5.0)
    dtype = next(model.parameters()).dtype
    with torch.no_grad():
        return model(edge_vectors(graph).to(dtype), graph.edge_index, graph.numbers)


def edit_card(folder, **changes):
    content = json.loads((folder / "card.json").read_text())
    content.update(changes)
    content = {key: value for key, value in content.items() if value is not None}
    (folder / "card.json").write_text(json.dumps(content))


# -- round trip -----------------------------------------------------------------------------------


def test_a_saved_model_comes_back_with_the_same_numbers(folder, random_potential):
    loaded = load_model(folder)
    assert type(loaded) is type(random_potential) and loaded.config == random_potential.config
    assert torch.equal(energies(loaded), energies(random_potential))


def test_the_card_says_everything_the_model_knows(folder, random_potential):
    card = load_model(folder).card
    assert card == read_card(folder)
    assert (card.name, card.task, card.architecture) == ("sic", "potential", "E3NNPotential")
    assert card.species == (6, 14) and card.cutoff == 5.0 and card.dtype == "float64"
    assert card.parameters == sum(p.numel() for p in random_potential.parameters())
    assert card.training == ABOUT["training"] and card.limitations == ABOUT["limitations"]
    assert card.version.startswith("scatterml_ase ")
    assert repr(card).startswith("Card(sic: potential for C, Si, cutoff=5.0 Å, ")


def test_only_a_card_and_safetensors_are_written(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "weights.safetensors"]
    assert isinstance(json.loads((folder / "card.json").read_text()), dict)


def test_a_loaded_model_is_ready_to_evaluate_and_trainable_on_request(folder):
    model = load_model(folder)
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    assert all(p.requires_grad for p in load_model(folder, trainable=True).parameters())


@pytest.mark.parametrize("dtype", ["float32", "float64", torch.float32])
def test_the_dtype_is_the_one_asked_for(folder, dtype):
    model = load_model(folder, dtype)
    expected = torch.float64 if dtype == "float64" else torch.float32
    assert {p.dtype for p in model.parameters()} == {expected}


def test_float32_weights_loaded_in_float64_give_the_exact_potential_of_these_weights(
    tmp_path, random_potential
):
    """Constants are not rounded on the way: only the weights have been through float32."""
    exact = type(random_potential)(random_potential.config).double()
    exact.load_state_dict({k: v.float().double() for k, v in random_potential.state_dict().items()})
    save_model(random_potential.float(), tmp_path / "single", ABOUT)
    found = energies(load_model(tmp_path / "single", "float64"))
    torch.testing.assert_close(found, energies(exact), rtol=0, atol=1e-13)


def test_saving_again_replaces_the_model_and_keeps_other_files(folder, random_potential):
    (folder / "training.toml").write_text("# mine")
    with torch.no_grad():
        for parameter in random_potential.parameters():
            parameter.mul_(1.1)
    save_model(random_potential, folder, ABOUT)
    assert torch.equal(energies(load_model(folder)), energies(random_potential))
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["card.json", "training.toml", "weights.safetensors"]


def test_a_save_that_fails_leaves_the_old_model_untouched(folder, random_potential, monkeypatch):
    before = energies(load_model(folder))
    with torch.no_grad():
        for parameter in random_potential.parameters():
            parameter.mul_(1.1)

    def fail(card):
        raise KeyboardInterrupt

    monkeypatch.setattr(Card, "to_json", fail)
    with pytest.raises(KeyboardInterrupt):
        save_model(random_potential, folder, ABOUT)
    assert torch.equal(energies(load_model(folder)), before)
    assert len(list(folder.iterdir())) == 2


def test_a_model_loads_inside_inference_mode_and_still_has_forces(folder):
    from scatterml_ase.nn.derivatives import energies_forces_stress

    with torch.inference_mode():
        model = load_model(folder)
    graph = graph_from_atoms(structure_kinds("Si")["crystal"], 5.0)
    assert torch.isfinite(energies_forces_stress(model, graph).forces).all()


# -- the shipped models ---------------------------------------------------------------------------


def test_models_are_listed_and_found_by_name(shipped, folder):
    assert [card.name for card in list_models()] == ["sic"]
    assert load_model("sic").card == load_model(folder).card


def test_covering_models_come_with_the_fewest_species_first(shipped, folder, random_potential):
    config = replace(
        random_potential.config,
        species=(14,),
        reference_energies=(),
        binding_energies=(),
        rest_densities=(),
        contact_scales=(),
    )
    save_model(type(random_potential)(config), shipped / "zz-si", ABOUT)
    save_model(type(random_potential)(config), shipped / "dos", {**ABOUT, "task": "dos"})
    assert [card.name for card in covering_models([14, 14])] == ["zz-si", "sic"]
    assert [card.name for card in covering_models([6])] == ["sic"]
    assert covering_models([8]) == []
    assert [card.name for card in covering_models([14], task="dos")] == ["dos"]


def test_a_damaged_model_does_not_hide_the_others(shipped, folder):
    shutil.copytree(folder, shipped / "broken")
    (shipped / "broken" / "card.json").write_text("{")
    with pytest.warns(UserWarning, match=r"broken' cannot be loaded"):
        assert [card.name for card in list_models()] == ["sic"]


# -- refusals -------------------------------------------------------------------------------------


def test_a_missing_model_names_the_shipped_ones(shipped, folder):
    with pytest.raises(ModelError, match=r"No model 'germanium'.*shipped models \(sic\)"):
        load_model("germanium")


def test_paths_are_paths_and_names_are_names(shipped, folder, monkeypatch):
    (shipped / "elsewhere").mkdir()
    monkeypatch.chdir(shipped / "elsewhere")
    assert load_model("sic").card.name == "sic"  # a name, though no folder here is called so
    assert load_model("../sic").card.name == "sic"  # from here, not from the shipped models
    with pytest.raises(ModelError, match=r"No model 'elsewhere/\.\./sic'"):
        load_model("elsewhere/../sic")
    monkeypatch.chdir(folder)
    assert load_model(".").card.name == "sic"


@pytest.mark.parametrize("name", ["", "x" * 5000, None, 3])
def test_what_cannot_be_a_model_is_explained_too(shipped, folder, name):
    with pytest.raises(ModelError, match=r"No model .*shipped models \(sic\)"):
        load_model(name)


def truncate(folder):
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(folder):
    path = folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def pickle_instead(folder):
    torch.save({"weights": torch.zeros(3)}, folder / "weights.safetensors")
    edit_card(folder, sha256=store.file_sha256(folder / "weights.safetensors"))


def edited_config(folder):
    config = json.loads((folder / "card.json").read_text())["config"]
    edit_card(folder, config={**config, "cutoff": 6.0})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "card.json").unlink(), r"card.json is missing"),
        (lambda f: (f / "card.json").write_text("{"), r"not readable JSON"),
        (lambda f: (f / "card.json").write_bytes(b"\xff\xfe\x00"), r"not readable JSON"),
        (lambda f: (f / "card.json").write_text("[1]"), r"not a JSON object"),
        (lambda f: edit_card(f, species=None), r"lacks \['species'\]"),
        (lambda f: edit_card(f, species="Si"), r"holds 'Si' as 'species'"),
        (lambda f: edit_card(f, species=[14, 200]), r"holds \[14, 200\] as 'species'"),
        (lambda f: edit_card(f, species=["Si"]), r"not atomic numbers"),
        (lambda f: edit_card(f, colour="red"), r"unknown entries \['colour'\]"),
        (lambda f: edit_card(f, format=99), r"format 99.*pip install -U"),
        (lambda f: edit_card(f, architecture="os.system"), r"not those of the weights"),
        (edited_config, r"not those of the weights"),
        (lambda f: edit_card(f, species=[6, 14, 29]), r"species .* its config says otherwise"),
        (lambda f: edit_card(f, cutoff=4.0), r"cutoff .* its config says otherwise"),
        (lambda f: (f / "weights.safetensors").unlink(), r"weights.safetensors is missing"),
        (truncate, r"truncated or edited"),
        (flip_a_bit, r"truncated or edited"),
        (pickle_instead, r"no safetensors file"),
    ],
)
def test_a_damaged_folder_is_refused_with_the_reason(folder, damage, message):
    damage(folder)
    with pytest.raises(ModelError, match=message):
        load_model(folder)


def test_a_foreign_architecture_is_never_imported(folder, monkeypatch):
    monkeypatch.setattr(store, "ARCHITECTURES", {"Other": "os:system"})
    with pytest.raises(ModelError, match=r"architecture 'E3NNPotential'.*knows Other only"):
        load_model(folder)


def test_a_config_from_the_future_names_its_unknown_fields(folder, random_potential, monkeypatch):
    architecture = type(random_potential)
    fields = random_potential.config.__dataclass_fields__
    older = {name: field for name, field in fields.items() if name != "layers"}
    monkeypatch.setattr(architecture.Config, "__dataclass_fields__", older)
    with pytest.raises(ModelError, match=r"unknown fields \['layers'\]"):
        load_model(folder)


def test_weights_of_another_shape_are_refused(folder, random_potential, monkeypatch):
    build = store._build
    config = replace(random_potential.config, channels=5)
    monkeypatch.setattr(store, "_build", lambda card: build(replace(card, config=vars(config))))
    with pytest.raises(ModelError, match=r"do not fit the architecture.*size mismatch"):
        load_model(folder)


def test_only_known_architectures_and_entries_are_saved(tmp_path, random_potential, morse_model):
    with pytest.raises(ModelError, match="MorseModel cannot be saved"):
        save_model(morse_model, tmp_path / "morse", ABOUT)
    with pytest.raises(ModelError, match="Give only"):
        save_model(random_potential, tmp_path / "x", {**ABOUT, "sha256": "0"})
    with pytest.raises(ModelError, match="'task' is needed"):
        save_model(random_potential, tmp_path / "x", {})


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, random_potential):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Cannot write into"):
        save_model(random_potential, tmp_path / "file", ABOUT)


def test_counts_are_written_for_people():
    numbers = (950, 1000, 74_321, 999_600, 2_100_000)
    assert [count(n) for n in numbers] == ["950", "1k", "74k", "1.0M", "2.1M"]


def test_saving_the_same_model_twice_gives_the_same_files(tmp_path, random_potential):
    """The hash in a card names the weights, not the run of the program that wrote them."""
    for folder in ("one", "two"):
        save_model(random_potential, tmp_path / folder, {"task": "potential", "name": "twin"})
    for name in ("card.json", "weights.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
