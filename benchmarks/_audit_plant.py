"""Known errors planted into a table of photos: changed labels, swapped shots, photos of another person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from data_manifests.taxonomy import GENDERS, MASKS, AgeCuts, age_class_of


@dataclass(frozen=True)
class PlantedErrors:
    """Rows with errors, and the photos (P,) bool that have one."""

    rows: pd.DataFrame
    wrong: np.ndarray


def age_classes(rows: pd.DataFrame, cuts: AgeCuts) -> np.ndarray:
    """Return the age class of each photo (P,)."""
    return np.asarray(age_class_of(rows["age"].to_numpy(float), cuts))


def flip_gender(rows: pd.DataFrame, share: float, rng: np.random.Generator) -> PlantedErrors:
    """Flip the gender of a share of the people, on all photos of each."""
    wrong = _photos_of(rows, _draw(rows, np.ones(len(rows), bool), share, rng))
    gender = rows["gender"].to_numpy(object).copy()
    gender[wrong] = np.where(gender[wrong] == GENDERS[0], GENDERS[1], GENDERS[0])
    return PlantedErrors(rows.assign(gender=gender), wrong)


def flip_photos(rows: pd.DataFrame, share: float, rng: np.random.Generator) -> PlantedErrors:
    """Flip the gender of a share of the photos, each by itself."""
    wrong = _draw_photos(rows, share, rng)
    gender = rows["gender"].to_numpy(object).copy()
    gender[wrong] = np.where(gender[wrong] == GENDERS[0], GENDERS[1], GENDERS[0])
    return PlantedErrors(rows.assign(gender=gender), wrong)


def wrong_states(rows: pd.DataFrame, share: float, rng: np.random.Generator) -> PlantedErrors:
    """Change the mask state of a share of the photos, each by itself."""
    wrong = _draw_photos(rows, share, rng)
    mask = rows["mask"].to_numpy(object).copy()
    mask[wrong] = [rng.choice([state for state in MASKS if state != given]) for given in mask[wrong]]
    return PlantedErrors(rows.assign(mask=mask), wrong)


def wrong_ages(rows: pd.DataFrame, share: float, cuts: AgeCuts, rng: np.random.Generator) -> PlantedErrors:
    """Give a share of the photos, each by itself, an age of another class, drawn from the given ages."""
    wrong = _draw_photos(rows, share, rng)
    ages, classes = rows["age"].to_numpy(float), age_classes(rows, cuts)
    new = ages.copy()
    for position in np.flatnonzero(wrong):
        new[position] = rng.choice(ages[classes != classes[position]])
    return PlantedErrors(rows.assign(age=new, age_class=np.asarray(age_class_of(new, cuts))), wrong)


def wrong_age(rows: pd.DataFrame, share: float, far: bool, cuts: AgeCuts, rng: np.random.Generator) -> PlantedErrors:
    """Give a share of the people an age of the far or an adjacent class, drawn from the given ages of that class."""
    classes, ages = age_classes(rows, cuts), rows["age"].to_numpy(float)
    chosen = _draw(rows, classes != 1 if far else np.ones(len(rows), bool), share, rng)
    new, new_class = ages.copy(), classes.copy()
    for person in chosen:
        members = (rows["person_id"] == person).to_numpy()
        true = int(classes[members][0])
        target = 2 - true if far else (1 if true != 1 else int(rng.choice([0, 2])))
        new[members], new_class[members] = rng.choice(ages[classes == target]), target
    return PlantedErrors(rows.assign(age=new, age_class=new_class), _photos_of(rows, chosen))


def swap_shots(rows: pd.DataFrame, share: float, rng: np.random.Generator) -> PlantedErrors:
    """Swap a photo without a correctly worn mask and one with it, in a share of the profiles."""
    mask, shot = rows["mask"].to_numpy(object).copy(), rows["shot"].to_numpy(object).copy()
    wrong = np.zeros(len(rows), bool)
    for person in _draw(rows, np.ones(len(rows), bool), share, rng):
        members = np.flatnonzero((rows["person_id"] == person).to_numpy())
        first = rng.choice(members[mask[members] != "worn"])
        pair = np.array([first, rng.choice(members[mask[members] == "worn"])])
        mask[pair], shot[pair], wrong[pair] = mask[pair[::-1]], shot[pair[::-1]], True
    return PlantedErrors(rows.assign(mask=mask, shot=shot), wrong)


def exchange_photos(rows: pd.DataFrame, share: float, rng: np.random.Generator) -> PlantedErrors:
    """Exchange a photo of the same shot between people of one gender and age class."""
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
    return PlantedErrors(changed.astype(rows.dtypes.to_dict()), wrong)


def _draw(rows: pd.DataFrame, eligible: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Return a share of all people, drawn from those whose photos are eligible."""
    people = rows["person_id"].nunique()
    among = rows.loc[eligible, "person_id"].unique()
    return rng.choice(np.asarray(among, object), min(len(among), max(1, round(share * people))), replace=False)


def _draw_photos(rows: pd.DataFrame, share: float, rng: np.random.Generator) -> np.ndarray:
    wrong = np.zeros(len(rows), bool)
    wrong[rng.choice(len(rows), max(1, round(share * len(rows))), replace=False)] = True
    return wrong


def _photos_of(rows: pd.DataFrame, people: np.ndarray) -> np.ndarray:
    return rows["person_id"].isin(set(people)).to_numpy()
