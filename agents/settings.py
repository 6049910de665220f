"""Every setting, read from the environment and `.env`. Only composition roots import this.

Each field's description is what `.env.template` and the manual say of it.
"""

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote, urlsplit, urlunsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from agents.domain.errors import SettingsError
from agents.domain.redaction import is_secret_name
from agents.domain.role import ROLES

HOME = Path(__file__).resolve().parent.parent
SECRETS = Path("/run/secrets")  # where container engines mount secrets, a file each
INFRASTRUCTURE_SECRETS = "infrastructure.env"
INFRASTRUCTURE = (
    "TF_",
    "ANSIBLE_",
    "PROXMOX_",
    "PM_",
    "AWS_",
    "ARM_",
    "GOOGLE_",
    "HCLOUD_",
    "DIGITALOCEAN_",
    "SSL_CERT_",
)


class Settings(BaseSettings):
    """The settings of one process."""

    model_config = SettingsConfigDict(
        env_file=HOME / ".env",
        env_file_encoding="utf-8",
        secrets_dir=SECRETS if SECRETS.is_dir() else None,  # a file is named like its setting, in small letters
        extra="ignore",
        env_ignore_empty=True,
        frozen=True,
    )

    openai_api_key: SecretStr | None = Field(
        None, description="Key of the model endpoint. Empty: the rehearsal plays."
    )
    openai_api_base: str = Field(
        "https://api.openai.com/v1", description="Any OpenAI-compatible endpoint.", pattern=r"^https?://"
    )
    llm_model: str = Field("gpt-5-mini", description="Model of every role that names no other tier.")
    llm_model_fast: str | None = Field(None, description="Model of tier `fast`. Empty: LLM_MODEL.")
    llm_model_strong: str | None = Field(None, description="Model of tier `strong`. Empty: LLM_MODEL.")
    llm_model_fallbacks: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Comma-separated models to try when one keeps failing."
    )
    llm_timeout: float = Field(120, gt=0, description="Seconds one model query may take in all.")
    llm_retries: int = Field(4, ge=0, le=10, description="Tries after the first on 429, 5xx and broken streams.")
    llm_context_window: int = Field(128_000, ge=4_000, description="Tokens the model's window has.")

    llm_price_input: float = Field(0.25, ge=0, description="Dollars per million input tokens.")
    llm_price_cached: float = Field(0.025, ge=0, description="Dollars per million input tokens that are cached.")
    llm_price_output: float = Field(2.0, ge=0, description="Dollars per million output tokens.")
    llm_prices: str = Field(
        "", description="Prices of single models: `model=input/cached/output, …`, dollars per million tokens."
    )
    llm_rpm: int | None = Field(
        None, ge=1, description="Model queries per minute, all rooms on this Redis together. Empty: no bound."
    )
    llm_tpm: int | None = Field(
        None, ge=1, description="Tokens per minute, all rooms on this Redis together. Empty: no bound."
    )
    room_rpm: int | None = Field(None, ge=1, description="Model queries per minute of one room. Empty: no bound.")
    room_tpm: int | None = Field(None, ge=1, description="Tokens per minute of one room. Empty: no bound.")
    budget_usd: float = Field(
        1.0, gt=0, description="Dollars a room may spend in all; restarts don't reset it, `/budget 2.00` raises it."
    )
    budget_tokens: int | None = Field(None, ge=1, description="Tokens a room may use in all. Empty: no cap.")
    budget_usd_day: float | None = Field(
        None, gt=0, description="Dollars all rooms on this Redis may spend per day (UTC). Empty: no cap."
    )

    agent_require_human_approval: bool = Field(
        False, description="Whether the User decides every act on the world, besides whoever policy.yaml names."
    )
    agent_risk_threshold: float | None = Field(
        None, ge=0, le=1, description="Computed risk (0 to 1) from which on the User decides. Empty: policy.yaml's."
    )
    agent_autonomous_mode: bool = Field(
        False, description="Whether the policy's level `autonomous` holds: a lab you can rebuild."
    )

    rehearsal: bool | None = Field(
        None, description="Whether the model endpoint is the rehearsal. Empty: it is where no OPENAI_API_KEY is set."
    )

    redis_url: str | None = Field(None, description="Redis or Valkey to use. Empty: start one of our own.")
    redis_username: str | None = Field(None, description="Redis user, where REDIS_URL names none.")
    redis_password: SecretStr | None = Field(None, description="Password of that user, where REDIS_URL holds none.")
    room: str = Field(
        "agent_channel", description="Name of the room and its channel.", pattern=r"^[A-Za-z0-9_.-]{1,64}$"
    )
    history_limit: int = Field(80, ge=1, le=1000, description="Said messages in the window.")
    hop_budget: int = Field(60, ge=2, description="Replies in a chain before the User is asked.")
    lease_seconds: float = Field(15, gt=1, description="How long a silent worker keeps its turn.")
    checks_by: Literal["", *ROLES] = Field(  # type: ignore[valid-type]
        "",
        description="Role whose process runs everybody's checks, where only that one reaches the hosts. "
        "Empty: whoever asks runs them.",
    )

    minilab_home: Path = Field(HOME, description="Directory that holds prompts, docs, tmp and generated_iac.")
    sandbox: Literal["auto", "bubblewrap", "container", "docker"] = Field(
        "auto",
        description="auto: bubblewrap, or no commands where it cannot run. container: a container is the boundary, "
        "and Landlock confines commands in it where the kernel has it. "
        "docker: like auto, and run_code in a fresh container each time.",
    )
    sandbox_image: str = Field(
        "python:3.12-slim", description="Image for run_code with SANDBOX=docker.", min_length=1
    )
    sandbox_runtime: str = Field(
        "", description="Container runtime: runc, runsc, kata … Empty: the engine's default."
    )
    keys_dir: Path | None = Field(
        None, description="Directory of the keys that messages are signed with. Empty: .minilab/keys."
    )
    ssh_key_dir: Path | None = Field(
        None, description="Directory of the private keys config/hosts.yaml may name. Empty: .minilab/keys."
    )
    kubeconfig_path: Path | None = Field(
        None, description="Kubeconfig of the cluster run_kubectl may use. Empty: none."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Level of the program's log.")

    @field_validator("openai_api_key", "redis_password", mode="before")
    @classmethod
    def _given(cls, value: object) -> object:
        """An empty file is how a container is told of no secret."""
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("kubeconfig_path", mode="after")
    @classmethod
    def _filled(cls, value: Path | None) -> Path | None:
        """An empty file is how a container is told of no cluster."""
        return None if value and value.is_file() and not value.stat().st_size else value

    @property
    def rehearsing(self) -> bool:
        """Whether no model is set up, so that the rehearsal plays."""
        return self.openai_api_key is None if self.rehearsal is None else self.rehearsal

    @property
    def room_url(self) -> str | None:
        """REDIS_URL, with REDIS_USERNAME and REDIS_PASSWORD in their place unless it names a user itself."""
        parts = urlsplit(self.redis_url or "")
        if not parts.netloc or "@" in parts.netloc or not (self.redis_username or self.redis_password):
            return self.redis_url
        password = self.redis_password.get_secret_value() if self.redis_password else ""
        login = f"{quote(self.redis_username or '', safe='')}:{quote(password, safe='')}"
        return urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc}"))

    @cached_property
    def state_dir(self) -> Path:
        """Where the product keeps its own state: never visible to an agent."""
        return self.minilab_home / ".minilab"

    @property
    def signing_keys(self) -> Path:
        """Where the keys are that messages are signed with."""
        return self.keys_dir or self.state_dir / "keys"

    @property
    def known_hosts(self) -> Path:
        """The pinned keys of hosts, in a folder of their own: containers share it, read-only."""
        return self.state_dir / "hosts" / "known_hosts"

    def variables(self) -> dict[str, str]:
        """Every variable of the secret files, `.env` and the environment (the later wins, as with settings); what of
        them is shown is `read_env`'s decision."""
        config = self.model_config
        values = {**_secret_files(config.get("secrets_dir")), **_dotenv(config.get("env_file")), **os.environ}
        return {name: value for name, value in values.items() if value is not None}

    def infrastructure(self) -> dict[str, str]:
        """What Terraform and Ansible see of the environment: variables named for them, and their providers."""
        return {name: value for name, value in self.variables().items() if name.startswith(INFRASTRUCTURE)}

    def secrets(self) -> tuple[str, ...]:
        """Every secret value known from them, to be masked at every sink."""
        return tuple({value for name, value in self.variables().items() if value and is_secret_name(name)})


def load() -> Settings:
    """The settings. Raise SettingsError naming the variable, its value's fault and where to mend it."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper() if first["loc"] else "settings"
        raise SettingsError(f"{name}: {first['msg']} — mend it in .env or the environment") from None


def _dotenv(file: object) -> Mapping[str, str | None]:
    return dotenv_values(file) if isinstance(file, Path) and file.is_file() else {}


def _secret_files(folder: object) -> Mapping[str, str | None]:
    """The settings that are given as files, and the variables of `infrastructure.env`."""
    if not isinstance(folder, Path):
        return {}
    names = [name for name in Settings.model_fields if (folder / name).is_file()]
    values = {name.upper(): (folder / name).read_text(encoding="utf-8").strip() for name in names}
    return {**_dotenv(folder / INFRASTRUCTURE_SECRETS), **values}
