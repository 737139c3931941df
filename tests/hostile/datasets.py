"""Data sets of YOLO, VOC, CVAT, CSV, Open Images, DOTA, Label Studio and FiftyOne that are broken or lead elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.hostile.attacks import Attack, cut
from tests.hostile.coco import PICTURE

_STRUCTURE, _TYPE = "structure: ", "DOCTYPE"
_YOLO = {"images/train/a.png": PICTURE, "labels/train/a.txt": b"0 .5 .5 .2 .2\n"}
_YAMLS = {
    "an object": (
        b"train: images/train\nnames: [a]\nx: !!python/object/apply:os.system ['touch RAN']",
        "asks to construct",
    ),
    "a name of Python": (b"train: images/train\nnames: !!python/name:os.system", "asks to construct"),
    "a key twice": (b"train: images/train\ntrain: /etc\nnames: [a]", "the key train has two values"),
    "an absolute path": (b"train: /etc\nnames: [a]", "outside of its own folder"),
    "a path that leads out": (b"path: ..\ntrain: ../..\nnames: [a]", "outside of its own folder|no data set"),
    "a base that leads out": (
        b"path: /\ntrain: etc\nnames: [a]",
        "outside of its own folder|no data set|empty|unknown-image",
    ),
    "an address": (b"train: http://127.0.0.1:9/x\nnames: [a]", "no data set in a known format"),
    "a download that is code": (
        b"train: nothing\nnames: [a]\ndownload: |\n  open('RAN', 'w')",
        "no data set in a known",
    ),
    "no classes": (b"train: images/train\nnames: []", "names no classes"),
    "classes without end": (b"train: images/train\nnc: 1000000000000", "names no classes"),
    "names by texts": (b"train: images/train\nnames: {a: b}", "names no classes"),
    "aliases that multiply": (
        b"train: images/train\na: &a [x,x,x,x,x,x,x,x,x]\n"
        + b"".join(b"%c: &%c [%s]\n" % (n, n, b",".join([b"*%c" % (n - 1)] * 9)) for n in range(98, 108))
        + b"names: *k",
        "aliases that stand for",
    ),
    "100,000 levels": (b"names: " + b"[" * 100_000, "not a YAML"),
    "a list alone": (b"[1, 2]", "no data set in a known format"),
    "noise": (bytes(range(256)), "not a YAML"),
    "a megabyte": (b"# " + b"x" * 2**20, "is larger than"),
}
_LABELS = {
    "numbers that are NaN": (b"0 nan nan nan nan\n", "not-finite"),
    "infinite numbers": (b"0 1e999 0 1 1\n", "not-finite"),
    "a class of 5,000 digits": (b"9" * 5000 + b" .5 .5 .2 .2\n", "unknown-category"),
    "a class that is no number": (b"__import__('os') .5 .5 .2 .2\n", "unknown-category"),
    "a class below 0": (b"-1 .5 .5 .2 .2\n", "unknown-category"),
    "three words": (b"0 .5 .5\n", "bad-box"),
    "a million words": (b"0" + b" .5" * 10**6 + b"\n", "zero-area|bad-box|bad-mask"),
    "a polygon that is far outside": (b"0 0 0 1e6 0 1e6 1e6\n", "far outside|box-outside|box-over-edge"),
    "noise": (bytes(range(128, 256)), "not in UTF-8"),
    "UTF-16": ("0 .5 .5 .2 .2\n".encode("utf-16"), "not in UTF-8"),
    "zeros": (bytes(100), "bad-box|unknown-category"),
}
_LINKS: dict[str, tuple[dict[str, bytes | str | None], str]] = {
    "labels that are a device": ({"labels/train/a.txt": "/dev/zero"}, "empty-dataset|none of"),
    "labels that are a pipe": ({"labels/train/a.txt": None}, "empty-dataset|none of"),
    "labels that link to another file": ({"labels/train/a.txt": "/etc/passwd"}, "bad-box|unknown-category"),
    "an image that links out": ({"images/train/a.png": "/etc/passwd"}, "unreadable-image"),
    "an image that is a device": (
        {"images/train/b.png": "/dev/zero", "labels/train/b.txt": b"0 .5 .5 .1 .1"},
        "unknown-image",
    ),
    "a folder that links to itself": ({"images/train": "../images/train"}, "no data set|unknown|cannot"),
    "a data.yaml that is a device": ({"data.yaml": "/dev/zero"}, "no data set"),
}

_OBJECT = "<object><name>car</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object>"
_VOC = f"<annotation><filename>a.png</filename>{_OBJECT}</annotation>"
_BILLION = "<size><width>999999999</width><height>999999999</height></size>"
_CVAT_IMAGE = '<image id="0" name="a.png" width="64" height="48">{}</image>'
_ENTITIES = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 9}">' for n in range(1, 12))
_XMLS = {
    "entities that multiply": ("<!DOCTYPE x [<!ENTITY e0 'ha'>" + _ENTITIES + "]>{}<!-- &e11; -->", _TYPE),
    "an entity of 10 MB that repeats": (f'<!DOCTYPE x [<!ENTITY a "{"a" * 10**7}">]>' + "{}", _TYPE),
    "an external entity": ('<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>{}', _TYPE),
    "an external document type": ('<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">{}', _TYPE),
    "an external parameter entity": ('<!DOCTYPE x [<!ENTITY % a SYSTEM "http://127.0.0.1:9/x"> %a;]>{}', _TYPE),
    "a document type in other letters": ("<!doctype x>{}", "cannot be read as XML"),
    "an unknown encoding": ('<?xml version="1.0" encoding="x-owned"?>{}', "cannot be read as XML"),
    "an encoding of several bytes": ('<?xml version="1.0" encoding="utf-7"?>{}', "cannot be read as XML"),
    "an entity that nobody declared": ("{}&a;", "cannot be read as XML"),
    "an attribute twice": ('<annotation a="1" a="2"/>', "cannot be read as XML"),
    "100,000 levels": ("<annotation>" * 100_000, "deep and more"),
    "two roots": ("{}{}", "cannot be read as XML"),
    "a control character": ("\x07{}", "cannot be read as XML"),
    "text alone": ("touch RAN", "cannot be read as XML"),
}
_VOCS = {
    "a box of NaN": (_VOC.replace("<xmin>1<", "<xmin>nan<"), "not-finite"),
    "a box of 10^400": (_VOC.replace("<xmax>9<", f"<xmax>{10**400}<"), "not-finite|bad-box"),
    "a box of words": (_VOC.replace("<xmax>9<", "<xmax>x<"), "not-finite"),
    "no box": ("<annotation><filename>a.png</filename><object><name>car</name></object></annotation>", "bad-box"),
    "no name": (_VOC.replace("car", " "), "unknown-category"),
    "a size of a billion": (_VOC.replace("<object>", f"{_BILLION}<object>", 1), "has a size of|wrong-size"),
}
_SHAPES = {
    "a box of NaN": ('<box label="car" xtl="nan" ytl="0" xbr="9" ybr="9"/>', "not-finite"),
    "a rotation of 10^400": (
        f'<box label="car" xtl="0" ytl="0" xbr="9" ybr="9" rotation="{10**400}"/>',
        "bad-box|not-finite",
    ),
    "an endless rotation": (
        '<box label="car" xtl="0" ytl="0" xbr="9" ybr="9" rotation="1e999"/>',
        "bad-box|not-finite",
    ),
    "a polygon without points": ('<polygon label="car" points=""/>', "not-finite|short|bad"),
    "a polygon of words": ('<polygon label="car" points="a,b;c,d;e,f"/>', "not-finite"),
    "runs of 10^12": ('<mask label="car" rle="1000000000000" left="0" top="0" width="9" height="9"/>', "bad-box"),
    "runs of 5,000 digits": (
        f'<mask label="car" rle="{"9" * 5000}" left="0" top="0" width="9" height="9"/>',
        "bad-box",
    ),
    "runs below 0": ('<mask label="car" rle="-9,90" left="0" top="0" width="9" height="9"/>', "bad-box"),
    "a mask outside": ('<mask label="car" rle="81" left="60" top="0" width="9" height="9"/>', "bad-box"),
    "a mask of a billion": (
        '<mask label="car" rle="81" left="0" top="0" width="1000000000" height="1000000000"/>',
        "bad-box",
    ),
    "an ellipse without end": ('<ellipse label="car" cx="9" cy="9" rx="1e999" ry="1"/>', "not-finite|bad"),
    "an unknown shape": ('<cuboid label="car"/>', "no-object"),
}

_HEAD = b"image,class,xmin,ymin,xmax,ymax\n"
_CSVS = {
    "a value of a megabyte": (_HEAD + b"a.png,car,1,2,3," + b"4" * 2**20, "is not CSV"),
    "a name of a megabyte": (_HEAD + b"a" * 2**20 + b",car,1,2,3,4", "is not CSV"),
    "a zero byte in a name": (_HEAD + b"a\0.png,car,1,2,3,4\n", "no file can have such a name"),
    "a quote that does not end": (_HEAD + b'"a.png,car,1,2,3,4\n' + b"a.png,car,1,2,3,4\n" * 9999, "is not CSV"),
    "a column twice": (b"image,image,class,xmin,ymin,xmax,ymax\na.png,b.png,car,1,2,3,4\n", "two columns 'image'"),
    "a name that leads out": (_HEAD + b"../../etc/passwd,car,1,2,3,4\n", "outside-image|missing-image"),
    "an absolute name": (_HEAD + b"/etc/passwd,car,1,2,3,4\n", "outside-image|missing-image"),
    "numbers that are NaN": (_HEAD + b"a.png,car,nan,inf,-inf,1e999\n", "not-finite"),
    "formulas as numbers": (_HEAD + b"a.png,car,=1+1,@SUM(1),+1|x,-1\n", "not-finite"),
    "a class alone": (_HEAD + b"a.png,car,,,,\n", "bad-box"),
    "noise": (_HEAD + bytes(range(128, 256)), "not in UTF-8"),
    "no columns": (b"a,b\n1,2\n", "no columns of boxes|no data set"),
    "UTF-16": ("image,class,xmin,ymin,xmax,ymax\n".encode("utf-16"), "no data set|no columns"),
}
_TASK = '[{{"id": 1, "data": {{"image": {}}}, "annotations": [{{"result": [{}]}}]}}]'
_RECT = '{"value": {"x": 1, "y": 1, "width": 9, "height": 9, "rectanglelabels": ["car"]}}'
_TASKS = {
    "a name that leads out": (_TASK.format('"/data/../../../etc/passwd"', _RECT), "missing-image|unreadable|outside"),
    "an address": (_TASK.format('"http://127.0.0.1:9/x.png"', _RECT), "missing-image|unreadable|outside"),
    "a name that is a list": (_TASK.format('["a.png"]', _RECT), "missing-image|unreadable|outside|structure"),
    "a key twice": (_TASK.format('"a.png"', _RECT.replace('"x": 1', '"x": 1, "x": 9')), "twice, and programs"),
    "numbers that are NaN": (_TASK.format('"a.png"', _RECT.replace('"x": 1', '"x": NaN')), "not-finite"),
    "numbers that are objects": (_TASK.format('"a.png"', _RECT.replace('"x": 1', '"x": {"y": [1]}')), "not-finite"),
    "an endless rotation": (
        _TASK.format('"a.png"', _RECT.replace('"x": 1', '"x": 1, "rotation": 1e999')),
        "structure|not-finite",
    ),
    "a task that is a number": ('[{"annotations": [], "data": {}}, 7]', "structure"),
    "100,000 levels": ('[{"annotations": ' + "[" * 100_000, "more than 254 levels"),
}
_LABELLED = '{"classes": ["car"], "labels": {"a": [{"label": 0, "bounding_box": [0.1, 0.1, 0.2, 0.2]}]}}'
_FIFTYONE = {
    "a name that leads out": (_LABELLED.replace('"a"', '"../../etc/passwd"'), "outside-image|missing-image"),
    "a device": (_LABELLED.replace('"a"', '"/dev/zero"'), "outside-image|missing-image"),
    "a key twice": (_LABELLED.replace('"a"', '"a": [], "a"'), "twice, and programs"),
    "labels that are a list": ('{"classes": ["car"], "labels": []}', "no labels by image"),
    "a class that is not there": (
        '{"classes": [], "labels": {"a": [{"label": 10000000000000000000000}]}}',
        "unknown-category",
    ),
    "a box of NaN": (_LABELLED.replace("[0.1", "[NaN"), "not-finite"),
    "a box of texts": (_LABELLED.replace("0.1, 0.1, 0.2, 0.2", '"x", {}, [], null'), "not-finite"),
    "100,000 levels": ('{"labels": ' + "[" * 100_000, "more than 254 levels"),
}


def _several() -> Iterator[tuple[str, Mapping[str, bytes | str | None], str]]:
    for title, (text, says) in _YAMLS.items():
        yield f"{title}, YOLO", _YOLO | {"data.yaml": text}, says
    sound = {"data.yaml": b"train: images/train\nnames: [a]\n"}
    for title, (text, says) in _LABELS.items():
        yield f"labels with {title}, YOLO", _YOLO | sound | {"labels/train/a.txt": text}, says
    for title, (files, says) in _LINKS.items():
        rest = {name: own for name, own in (_YOLO | sound).items() if not any(name.startswith(new) for new in files)}
        yield f"{title}, YOLO", rest | files, says
    for title, (text, says) in _XMLS.items():
        xml = text.replace("{}", _VOC).encode("utf-8", "surrogatepass")
        yield f"{title}, VOC", {"Annotations/a.xml": xml, "JPEGImages/a.png": PICTURE}, says
        xml = text.replace("{}", f"<annotations>{_CVAT_IMAGE.format('')}</annotations>").encode()
        yield f"{title}, CVAT", {"annotations.xml": xml, "images/a.png": PICTURE}, says
    for title, (text, says) in _VOCS.items():
        yield f"{title}, VOC", {"Annotations/a.xml": text.encode(), "JPEGImages/a.png": PICTURE}, says
    for title, content in cut("VOC", _VOC.encode(), times=8):
        yield title, {"Annotations/a.xml": content, "JPEGImages/a.png": PICTURE}, "cannot be read as XML"
    sets = {"Annotations/a.xml": _VOC.encode(), "JPEGImages/a.png": PICTURE}
    yield "a list that is a device, VOC", sets | {"ImageSets/Main/train.txt": "/dev/zero"}, "Is a device or a pipe"
    yield "a list that is a pipe, VOC", sets | {"ImageSets/Main/train.txt": None}, "Is a device or a pipe"
    for title, (shape, says) in _SHAPES.items():
        xml = f"<annotations>{_CVAT_IMAGE.format(shape)}</annotations>".encode()
        yield f"{title}, CVAT", {"annotations.xml": xml, "images/a.png": PICTURE}, says
    for title, (text, says) in _CSVS.items():
        yield f"{title}, CSV", {"train.csv": text, "images/a.png": PICTURE}, says
    yield "a device, CSV", {"train.csv": "/dev/zero", "images/a.png": PICTURE}, "no data set"
    openly = {
        "train/a.png": PICTURE,
        "train-annotations-bbox.csv": b"ImageID,LabelName,XMin,XMax,YMin,YMax\na,/m/1,nan,1,0,1\n",
    }
    yield "a box of NaN, Open Images", openly, "not-finite"
    names = {"class-descriptions-boxable.csv": b"/m/1," + b"x" * 2**20}
    yield "a name of a megabyte, Open Images", openly | names, "is not CSV"
    out = openly["train-annotations-bbox.csv"].replace(b"\na,", b"\n../../../etc/passwd,")
    yield (
        "a name that leads out, Open Images",
        openly | {"train-annotations-bbox.csv": out},
        "outside-image|missing-image",
    )
    dota = {"images/a.png": PICTURE}
    for title, (text, says) in {
        "words instead of numbers": (b"a b c d e f g h car 0\n", "not-finite"),
        "three words": (b"1 2 car\n", "bad-box"),
        "10^400": (b"1 2 1%s 2 3 4 5 6 car 0\n" % (b"0" * 400), "not-finite"),
        "noise": (bytes(range(128, 256)), "not in UTF-8"),
    }.items():
        yield f"{title}, DOTA", dota | {"labelTxt/a.txt": text}, says
    yield "a device, DOTA", dota | {"labelTxt/a.txt": "/dev/zero"}, "Is a device or a pipe"
    yield "a pipe, DOTA", dota | {"labelTxt/a.txt": None}, "Is a device or a pipe"
    for title, (text, says) in _TASKS.items():
        yield f"{title}, Label Studio", {"tasks.json": text.encode(), "images/a.png": PICTURE}, says
    for title, (text, says) in _FIFTYONE.items():
        yield f"{title}, FiftyOne", {"labels.json": text.encode(), "data/a.png": PICTURE}, says


def attacks() -> Iterator[Attack]:
    for title, files, says in _several():
        yield Attack(title, "data set", files, says, ".")
    for name in ("/dev/zero", "/etc/passwd", "/etc"):
        yield Attack(
            f"{name[1:]} as a data set",
            "data set",
            {"x": name},
            "no data set|is a device or a pipe|cannot be read as JSON",
        )
    yield Attack("a pipe as a data set", "data set", {"x": None}, "is a device or a pipe")
