"""The verifier runs probes and records what they said; not knowing is not passing."""

import asyncio

import pytest

from agents.domain.errors import MissingBinary
from agents.domain.mission import Check, Probe, TcpProbe, Verdict
from agents.domain.redaction import SecretMask
from agents.runtime.verifier import EVIDENCE_CHARS, MissionVerifier, Prober
from tests.support.team import FixedMission

CHECK = Check("c1", TcpProbe(type="tcp", title="port", host="h", port=1))


async def verdict(prober: Prober | None, timeout: float = 5) -> tuple[Verdict, str]:
    mission = FixedMission()
    probers = {"tcp": prober} if prober else {}
    [fresh] = await MissionVerifier(mission, probers, SecretMask(["s3cr3t-value"]), timeout).run([CHECK])
    assert mission.judged == [("c1", fresh.verdict, fresh.evidence)]
    return fresh.verdict, fresh.evidence


@pytest.mark.parametrize("said", [Verdict.PASS, Verdict.FAIL])
async def test_a_probe_s_word_is_recorded(said: Verdict) -> None:
    async def prober(probe: Probe) -> tuple[Verdict, str]:
        return said, f"asked for {probe.type}"

    assert await verdict(prober) == (said, "asked for tcp")


async def test_a_probe_that_can_t_tell_is_unknown() -> None:
    async def prober(probe: Probe) -> tuple[Verdict, str]:
        raise MissingBinary("terraform is not installed")

    assert await verdict(prober) == (Verdict.UNKNOWN, "terraform is not installed")


async def test_a_probe_without_a_prober_is_unknown() -> None:
    assert await verdict(None) == (Verdict.UNKNOWN, "nothing here can run a tcp probe")


async def test_a_probe_that_hangs_is_unknown() -> None:
    async def prober(probe: Probe) -> tuple[Verdict, str]:
        await asyncio.Event().wait()
        raise AssertionError

    assert await verdict(prober, 0.01) == (Verdict.UNKNOWN, "no verdict in 0.01 s")


async def test_evidence_is_masked_and_bounded() -> None:
    async def prober(probe: Probe) -> tuple[Verdict, str]:
        return Verdict.PASS, "s3cr3t-value" + "x" * 5_000

    _, evidence = await verdict(prober)
    assert "s3cr3t" not in evidence
    assert len(evidence) == EVIDENCE_CHARS
