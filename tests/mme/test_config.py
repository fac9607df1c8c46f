"""Settings: what stands in the environment, and that a bad one is refused at the start under its own name."""

from __future__ import annotations

import pytest

from mme import config
from mme.config import MmeConfig
from mme.errors import ConfigError
from mme.ids import Gummei, Plmn, Tai


def test_an_empty_environment_is_the_defaults() -> None:
    assert config.load({}) == MmeConfig()


def test_other_variables_and_other_cases_are_nothing_to_this() -> None:
    assert config.load({"PLMN": "00102", "PATH": "/bin", "mme": "x"}) == MmeConfig()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("plmn", "310410", Plmn("310410")),
        ("mme_group_id", "65535", 65535),
        ("mme_code", "255", 255),
        ("mme_name", "mme one", "mme one"),
        ("relative_mme_capacity", "0", 0),
        ("tacs", "7", (7,)),
        ("tacs", "7,9-12", (7, 9, 10, 11, 12)),
        ("tacs", " 1 , 3-3 ", (1, 3)),
        ("network_full_name", "Lab", "Lab"),
        ("network_short_name", "", ""),
        ("eea_order", "0,2", (0, 2)),
        ("eia_order", "2", (2,)),
        ("request_imeisv", "true", True),
        ("emergency_attach", "imsi-required", "imsi-required"),
        ("emergency_qci", "1", 1),
        ("request_imeisv", "false", False),
        ("t3412_s", "600", 600),
        ("t3460_s", "1.5", 1.5),
        ("t3489_s", "2", 2.0),
        ("need_s", "0.5", 0.5),
        ("max_retransmissions", "0", 0),
        ("ack_wait_s", "30", 30),
        ("s1_setup_time_to_wait_s", "60", 60),
    ],
)
def test_a_setting_is_read_as_what_it_is(name: str, text: str, value: object) -> None:
    loaded = config.load({name: text})
    assert getattr(loaded, name) == value
    assert type(getattr(loaded, name)) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plmn", "0010"),
        ("plmn", "001 01"),
        ("plmn", ""),
        ("mme_group_id", "65536"),
        ("mme_group_id", "-1"),
        ("mme_group_id", "one"),
        ("mme_code", "256"),
        ("mme_code", "-1"),
        ("relative_mme_capacity", "256"),
        ("relative_mme_capacity", "-1"),
        ("tacs", ""),
        ("tacs", "65536"),
        ("tacs", "-1"),
        ("tacs", "7;9"),
        ("tacs", "9-7"),
        ("eea_order", "8"),
        ("eea_order", "EEA2"),
        ("eia_order", "0"),
        ("eia_order", ""),
        ("request_imeisv", "yes"),
        ("emergency_attach", "on"),
        ("emergency_access_point_name", ""),
        ("emergency_qci", "10"),
        ("emergency_priority_level", "0"),
        ("emergency_ambr_bps", "0"),
        ("request_imeisv", "True"),
        ("t3412_s", "1h"),
        ("t3460_s", "six"),
        ("max_retransmissions", "4.0"),
        ("ack_wait_s", ""),
    ],
)
def test_a_bad_setting_names_itself(name: str, text: str) -> None:
    with pytest.raises(ConfigError) as error:
        config.load({name: text})
    assert error.value.key == name
    assert str(error.value).startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("name", "text", "later"),
    [
        ("eea_order", "1,0", "EEA1 is not implemented: no UE that has it could be sent anything"),
        ("eia_order", "1,2", "EIA1 is not implemented"),
        ("eea_order", "3-1", "no algorithm at all: every UE is refused with #23"),
        ("t3412_s", "3241", "no GPRS timer carries it: every ATTACH ACCEPT fails"),
        ("t3412_s", "-60", "no GPRS timer carries it"),
        ("s1_setup_time_to_wait_s", "7", "TS 36.413 9.2.1.61 has 1, 2, 5, 10, 20 and 60 s: every refusal fails"),
        ("t3460_s", "-1", "a timer that has always expired"),
        ("t3460_s", "nan", "no due time"),
        ("max_retransmissions", "-1", "not even the first message"),
    ],
)
def test_a_setting_that_could_only_fail_later_is_refused_at_the_start(name: str, text: str, later: str) -> None:
    with pytest.raises(ConfigError) as error:
        config.load({name: text})
    assert name in error.value.key, later


def test_the_key_of_the_m_tmsis_comes_apart_and_never_shows() -> None:
    loaded = config.load({"m_tmsi_key": "00" * 32}, m_tmsi_key=b"\x5a" * 32)
    assert loaded.m_tmsi_key == b"\x5a" * 32
    assert "m_tmsi_key" not in repr(loaded)
    assert "ZZZZ" not in repr(loaded)


def test_the_gummei_and_the_memory_for_duplicates_follow_from_the_settings() -> None:
    loaded = config.load({"plmn": "00102", "mme_group_id": "2", "mme_code": "3", "ack_wait_s": "30"})
    assert loaded.gummei == Gummei(Plmn("00102"), 2, 3)
    assert loaded.duplicates_s == 90


def test_the_tai_list_begins_with_where_the_ue_is_and_ends_at_sixteen() -> None:
    loaded = config.load({"tacs": "1-30"})
    here = Tai(loaded.plmn, 29)
    tai_list = loaded.tai_list(here)
    assert tai_list[0] == here
    assert len(tai_list) == len(set(tai_list)) == 16
    assert all(loaded.serves(tai) for tai in tai_list)
    assert config.load({"tacs": "1-3"}).tai_list(Tai(loaded.plmn, 2)) == (
        Tai(loaded.plmn, 2),
        Tai(loaded.plmn, 1),
        Tai(loaded.plmn, 3),
    )


@pytest.mark.parametrize(("tai", "served"), [(("00101", 30), True), (("00101", 31), False), (("00102", 7), False)])
def test_a_tracking_area_is_served_by_plmn_and_tac(tai: tuple[str, int], served: bool) -> None:
    assert config.load({"tacs": "1-30"}).serves(Tai(Plmn(tai[0]), tai[1])) is served
