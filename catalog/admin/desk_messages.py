"""What the desk's page sends to the site, checked before anything is done with it."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from catalog.services.reviewing.desk import Order, Verb
from workers.contract import Region

MOST = 100
Ids = Annotated[list[UUID], Field(max_length=500)]
Text = Annotated[str, StringConstraints(max_length=300)]


class Body(BaseModel):
    """Every message names the open desk that it comes from and whose page that is, and nothing that is unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    desk: UUID
    reviewer: Text = ""


class NextBody(Body):
    """Give me more: until I have ``count``, of which I hold some already; not those that I skipped."""

    count: int = Field(20, ge=1, le=MOST)
    holding: Ids = []
    skipped: Ids = []


class OrderBody(BaseModel):
    """One decision, see ``services.reviewing.desk.Order``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: UUID
    item: UUID
    action: Verb
    product: UUID | None = None
    same_as: UUID | None = None
    undoes: UUID | None = None
    values: dict[Annotated[str, StringConstraints(max_length=40)], Text] = {}
    parts: list[Region] = Field([], max_length=MOST)
    seconds: float | None = Field(None, ge=0, allow_inf_nan=False)

    def order(self) -> Order:
        """As the service takes it; empty fields of the form are left out."""
        values = {name: value for name, value in self.values.items() if value.strip()}
        return Order(**self.model_dump(exclude={"values", "parts"}), values=values, parts=tuple(self.parts))


class DecideBody(Body):
    """Decisions in the order in which they were made."""

    decisions: list[OrderBody] = Field(min_length=1, max_length=MOST)


class ItemsBody(Body):
    """Some items: to claim for a decision in bulk, or to give back (None: all)."""

    items: Ids | None = None


class KeysBody(Body):
    """Other keys for some actions."""

    keys: dict[str, str] = Field(max_length=40)
