"""Errors with known truth, planted into a table of photos: labels changed, photos put in other folders or places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from data_manifests.taxonomy import GENDERS, MASKS, AgeCuts


@dataclass(frozen=True)
class Planted:
    """The rows with errors, and which photos (P,) carry one."""

    rows: pd.DataFrame
    wrong: np.ndarray


def age_classes(rows: pd.DataFrame, cuts: AgeCuts) -> np.ndarray:
    """Class of each photo's age (P,)."""
    return np.digitize(rows["age"].to_numpy(float), [cuts.middle, cuts.old])


def flip_gender(rows: pd.DataFrame, share: float, rng: np.random.Generator) -> Planted:
    """The other gender for a share of the people, all photos of each."""
    wrong = _photos_of(rows, _draw(rows, np.ones(len(rows), bool), share, rng))
    gender = rows["gender"].to_numpy(object).copy()
    gender[wrong] = np.where(gender[wrong] == GENDERS[0], GENDERS[1], GENDERS[0])
    return Planted(rows.assign(gender=gender), wrong)


def flip_photos(rows: pd.DataFrame, share: float, rng: np.random.Generator) -> Planted:
    """The other gender for a share of the photos, each by itself."""
    wrong = _draw_photos(rows, share, rng)
    gender = rows["gender"].to_numpy(object).copy()
    gender[wrong] = np.where(gender[wrong] == GENDERS[0], GENDERS[1], GENDERS[0])
    return Planted(rows.assign(gender=gender), wrong)


def wrong_states(rows: pd.DataFrame, share: float, rng: np.random.Generator) -> Planted:
    """Another mask state for a share of the photos, each by itself."""
    wrong = _draw_photos(rows, share, rng)
    mask = rows["mask"].to_numpy(object).copy()
    mask[wrong] = [rng.choice([state for state in MASKS if state != filed]) for filed in mask[wrong]]
    return Planted(rows.assign(mask=mask), wrong)


def wrong_age(rows: pd.DataFrame, share: float, far: bool, cuts: AgeCuts, rng: np.random.Generator) -> Planted:
    """An age of the far or of an adjacent class for a share of the people, drawn from the ages filed in that class."""
    classes, ages = age_classes(rows, cuts), rows["age"].to_numpy(float)
    chosen = _draw(rows, classes != 1 if far else np.ones(len(rows), bool), share, rng)
    new, new_class = ages.copy(), classes.copy()
    for person in chosen:
        members = (rows["person_id"] == person).to_numpy()
        true = int(classes[members][0])
        target = 2 - true if far else (1 if true != 1 else int(rng.choice([0, 2])))
        new[members], new_class[members] = rng.choice(ages[classes == target]), target
    return Planted(rows.assign(age=new, age_class=new_class), _photos_of(rows, chosen))


def swap_shots(rows: pd.DataFrame, share: float, rng: np.random.Generator) -> Planted:
    """In a share of the profiles, an unmasked or badly worn photo and a masked one in each other's place."""
    mask, shot = rows["mask"].to_numpy(object).copy(), rows["shot"].to_numpy(object).copy()
    wrong = np.zeros(len(rows), bool)
    for person in _draw(rows, np.ones(len(rows), bool), share, rng):
        members = np.flatnonzero((rows["person_id"] == person).to_numpy())
        first = rng.choice(members[mask[members] != "worn"])
        pair = np.array([first, rng.choice(members[mask[members] == "worn"])])
        mask[pair], shot[pair], wrong[pair] = mask[pair[::-1]], shot[pair[::-1]], True
    return Planted(rows.assign(mask=mask, shot=shot), wrong)


def exchange_strangers(rows: pd.DataFrame, share: float, rng: np.random.Generator) -> Planted:
    """Pairs of people of one gender and age class exchange a photo of the same shot."""
    wrong = np.zeros(len(rows), bool)
    columns = ["person_id", "profile_id", "gender", "age", "age_class"]
    changed = rows.astype(dict.fromkeys(columns, object))
    people = rows.drop_duplicates("person_id").sample(frac=1, random_state=int(rng.integers(1 << 31)))
    wanted = round(share * len(people) / 2)
    for _, alike in people.groupby(["gender", "age_class"], sort=False):
        pairs = alike["person_id"].to_numpy(object)[: len(alike) // 2 * 2].reshape(-1, 2)
        for first, second in pairs[: max(1, round(wanted * len(alike) / len(people)))]:
            of_first, of_second = (
                rows[rows["person_id"] == person].set_index("shot").index for person in (first, second)
            )
            shot = rng.choice(np.asarray(of_first.intersection(of_second), object))
            pair = [rows.index[(rows["person_id"] == person) & (rows["shot"] == shot)][0] for person in (first, second)]
            changed.loc[pair, columns] = rows.loc[pair[::-1], columns].to_numpy(object)
            wrong[pair] = True
    return Planted(changed.astype(rows.dtypes.to_dict()), wrong)


def _draw(rows: pd.DataFrame, eligible: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """A share of all people, drawn from those whose photos are eligible."""
    people = rows["person_id"].nunique()
    among = rows.loc[eligible, "person_id"].unique()
    return rng.choice(np.asarray(among, object), min(len(among), max(1, round(share * people))), replace=False)


def _draw_photos(rows: pd.DataFrame, share: float, rng: np.random.Generator) -> np.ndarray:
    wrong = np.zeros(len(rows), bool)
    wrong[rng.choice(len(rows), max(1, round(share * len(rows))), replace=False)] = True
    return wrong


def _photos_of(rows: pd.DataFrame, people: np.ndarray) -> np.ndarray:
    return rows["person_id"].isin(set(people)).to_numpy()
