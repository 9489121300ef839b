"""One request carried out: its uploads laid down, its pictures made one after the other."""

from __future__ import annotations

import asyncio
import base64
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from comfystack import ComfyError
from comfystack.events import ImageRef

from . import catalogue, pictures, wishes
from .bodies import Body
from .catalogue import MASK, Model
from .making import Kitchen, Watcher
from .refusals import of_error
from .results import Results
from .wishes import Wish


@dataclass(frozen=True)
class Order:
    """A request of which everything is known to be right. `links` is the address below which results are found."""

    key: str
    owner: str
    links: str
    wish: Wish
    model: Model
    images: list[ImageRef]
    mask: ImageRef | None


class Orders:
    """Takes them and carries them out."""

    def __init__(self, kitchen: Kitchen, results: Results, image_pixels: int) -> None:
        self.kitchen, self.results, self._image_pixels = kitchen, results, image_pixels
        # A decoded picture takes hundreds of megabytes.
        self._one_decoder = asyncio.Lock()

    async def models(self) -> dict[str, Model]:
        """Raises Refused where ComfyUI is away."""
        try:
            return await catalogue.available(self.kitchen.transport)
        except ComfyError as error:
            raise of_error(error) from None

    async def taken(self, body: Body, owner: str, links: str) -> Order:
        """Looks at everything, and lays the uploads down. Raises Refused, and then nothing is left of it."""
        wish = wishes.read(body.fields)
        masked = body.mask is not None
        model = catalogue.chosen(await self.models(), wish.model, len(body.images), masked)
        # Once without the pictures, so that what is wrong with a field is told before they are looked at.
        stand_ins = [ImageRef("none.png")] * len(body.images)
        wishes.graph_of(wish, model, stand_ins, stand_ins[0] if masked else None, 0)
        key = str(uuid.uuid4())
        try:
            images, mask = await self._laid_down(key, body)
        except BaseException:
            self.kitchen.exchange.clear(key)
            raise
        return Order(key, owner, links, wish, model, images, mask)

    async def _laid_down(self, key: str, body: Body) -> tuple[list[ImageRef], ImageRef | None]:
        give = self.kitchen.exchange.give
        images: list[ImageRef] = []
        first: tuple[int, int] | None = None
        async with self._one_decoder:
            for number, content in enumerate(body.images, start=1):
                name = "image" if len(body.images) == 1 else f"image[{number - 1}]"
                picture = await asyncio.to_thread(pictures.looked_at, content, name, self._image_pixels)
                first = first or picture.size
                images.append(give(key, f"image{number}", picture.suffix, picture.content))
            if body.mask is None or first is None:
                return images, None
            area = await asyncio.to_thread(pictures.repainted, body.mask, first, self._image_pixels)
            return images, give(key, MASK, "png", area)

    async def carried_out(
        self, order: Order, watcher: Callable[[int], Watcher]
    ) -> AsyncIterator[dict[str, Any]]:
        """Each picture as an answer shows it, as soon as it is there. Raises Refused.

        Whoever took the order clears its uploads away afterwards.
        """
        wish = order.wish
        for number in range(wish.n):
            graph = wishes.graph_of(wish, order.model, order.images, order.mask, number)
            name = uuid.uuid4().hex
            room = self.results.room(name)
            await self.kitchen.make(order.model.name, graph, order.owner, room, watcher(number))
            yield await self._shown(order, name) | {"seed": wish.seed_of(number)}

    async def _shown(self, order: Order, name: str) -> dict[str, Any]:
        if order.wish.response_format == "url":
            self.results.keep(name, order.owner)
            return {"url": f"{order.links}/{name}"}
        file = self.results.room(name)
        content = await asyncio.to_thread(file.read_bytes)
        file.unlink()
        return {"b64_json": base64.b64encode(content).decode()}

    async def whole(self, order: Order) -> dict[str, Any]:
        """The answer that has all pictures."""
        data = [shown async for shown in self.carried_out(order, lambda _: Watcher())]
        return {"created": int(time.time()), "data": data, "output_format": "png"}
