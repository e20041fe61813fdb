"""Reads the labelling configuration of a Label Studio project. The XML is untrusted input."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

from mrcnn.errors import UserError

TAGS = {"polygonlabels": True, "rectanglelabels": False}  # lower-case tag name -> whether the shapes are polygons
EXAMPLE = '<PolygonLabels name="label" toName="image"><Label value="nike"/></PolygonLabels>'


@dataclass(frozen=True)
class LabelConfig:
    """The first polygon or rectangle labels of a project, and the image that they refer to.

    Attributes:
        from_name: name of the tag with the labels.
        to_name: name of the image tag.
        image_key: key of the image in the data of a task.
        is_polygon: whether the labels are for polygons. Otherwise, they are for rectangles.
        labels: label by lower-case name, including the names in `predicted_values`.
    """

    from_name: str
    to_name: str
    image_key: str
    is_polygon: bool
    labels: dict[str, str]

    @property
    def type(self) -> str:
        """Type of the shapes in Label Studio."""
        return "polygonlabels" if self.is_polygon else "rectanglelabels"

    def label_of(self, class_name: str) -> str | None:
        """Returns the label for a class of the model, or None."""
        return self.labels.get(class_name.lower())


def parse_label_config(text: str) -> LabelConfig:
    """Reads the configuration of a project. PolygonLabels are preferred over RectangleLabels.

    Raises:
        ValueError: if the XML is invalid or has no polygon or rectangle labels for an image.
    """
    if "<!" in text.replace("<!--", ""):  # entities in a document type could expand without bound
        raise UserError("label_config: document types and CDATA are not supported.")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise UserError(f"label_config: not valid XML ({error}).") from None
    images = {tag.get("name"): (tag.get("value") or "").lstrip("$") for tag in root.iter("Image")}
    found = [tag for tag in root.iter() if str(tag.tag).lower() in TAGS and tag.get("toName") in images]
    if not found:
        raise UserError(f"label_config: expected labels for polygons or rectangles on an Image, such as {EXAMPLE}.")
    tag = max(found, key=lambda tag: TAGS[tag.tag.lower()])  # first tag of the preferred type
    labels: dict[str, str] = {}
    for label in tag.iter("Label"):
        value = label.get("value") or ""
        for name in (value, *(label.get("predicted_values") or "").split(",")):
            labels.setdefault(name.strip().lower(), value)
    to_name = tag.get("toName")
    return LabelConfig(tag.get("name") or "", to_name, images[to_name], TAGS[tag.tag.lower()], labels)
