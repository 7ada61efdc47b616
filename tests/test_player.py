"""`step_through`: its steps against the engine, and its page in a real browser."""

import html
import json
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from axe_playwright_python.sync_playwright import Axe
from hypothesis import given, settings
from lectures import EXAMPLES, flat_code_circuit, net221, net322
from playwright.sync_api import expect, sync_playwright
from strategies import build, graphs

import autograd as ag
from autograd import Value, explain, graph, step_through, to_svg, values
from autograd.backward import pullback
from autograd.cli import main
from autograd.draw.labels import shortened, significant
from autograd.draw.steps import Computation, plain
from autograd.draw.themes import THEMES
from autograd.graph import printable

# Circuits.


def fxyz():
    x, y, z = values(x=-2, y=5, z=-4)
    q = x + y
    q.label = "q"
    f = q * z
    f.label = "f"
    return f


def thrice():
    a, b = values(a=3, b=2)
    f = a * a + a * b
    f.label = "f"
    return f


def neuron():
    return flat_code_circuit(EXAMPLES["flat_code"]["inputs"]).L


def network():
    return net221(EXAMPLES["net221_forward"]["inputs"]).E


def large():
    """A net of three layers: close to 300 nodes."""
    h = [Value(0.1 * i, f"x{i}") for i in range(4)]
    for size in (8, 6, 1):
        weights = [[Value(0.3 - 0.1 * ((i + j) % 7)) for i in range(len(h))] for j in range(size)]
        h = [ag.tanh(ag.dot(row, h, Value(0.5))) for row in weights]
    return h[0]


CIRCUITS = {
    "fxyz": fxyz,
    "thrice": thrice,
    "neuron": neuron,
    "2-2-1": network,
    "3-2-2": lambda: net322(EXAMPLES["net322_forward"]["inputs"]).E,
}

calm = settings(deadline=None)


@pytest.fixture(params=CIRCUITS)
def root(request):
    return CIRCUITS[request.param]()


def computation(root, digits=17):
    """The steps, with all digits: such numbers are exact."""
    return list(Computation(root, digits).steps())


def shown(steps):
    """What stands in the drawing after these steps."""
    return {place: text for step in steps for place, text in step["shows"].items()}


def numbers(equation, *parts):
    return [span.text.strip("()") for span in equation if span.part in parts]


def lines(root):
    """Every step in a few words: its phase and its equations."""
    return [
        (step["phase"], [plain(equation) for equation in step["equations"]])
        for step in computation(root, digits=4)
    ]


# The steps.


def test_the_steps_of_the_lecture():
    assert lines(fxyz()) == [
        ("inputs", ["x = -2", "y = 5", "z = -4"]),
        ("forward", ["q = x + y = -2 + 5 = 3"]),
        ("forward", ["f = q × z = 3 × (-4) = -12"]),
        ("backward", ["∂f/∂f = 1"]),
        ("backward", ["∂f/∂q = z = -4", "∂f/∂f × ∂f/∂q = 1 × (-4) = -4"]),
        ("backward", ["∂f/∂z = q = 3", "∂f/∂f × ∂f/∂z = 1 × 3 = 3"]),
        ("backward", ["∂q/∂x = 1", "∂f/∂x = ∂f/∂q × ∂q/∂x = -4 × 1 = -4"]),
        ("backward", ["∂q/∂y = 1", "∂f/∂y = ∂f/∂q × ∂q/∂y = -4 × 1 = -4"]),
        ("gradients", ["∂f/∂x = -4", "∂f/∂y = -4", "∂f/∂z = 3"]),
    ]


def test_each_addition_at_a_fan_out_is_a_step():
    found = [
        (equation, step["shows"].get("n0.gradient"))
        for step in computation(thrice(), digits=4)
        for equation in map(plain, step["equations"][-1:])
        if step["phase"] == "backward" and "n0" in step["focus"]
    ]
    assert found == [
        ("∂f/∂s1 × ∂s1/∂a = 1 × 2 = 2", "2 +"),
        ("∂f/∂s0 × ∂s0/∂(left a) = 1 × 3 = 3", None),
        ("2 + 3 = 5", "5 +"),
        ("∂f/∂s0 × ∂s0/∂(right a) = 1 × 3 = 3", None),
        ("∂f/∂a = 5 + 3 = 8", "8"),
    ]


def test_a_sum_is_told_from_its_terms():
    (z,) = values(z=0.5)
    s = z * z - z
    s.label = "s"
    assert [equations for phase, equations in lines(s) if phase in ("backward", "gradients")] == [
        ["∂s/∂s = 1"],
        ["∂s/∂s0 = 1", "∂s/∂s × ∂s/∂s0 = 1 × 1 = 1"],
        ["∂s/∂z = -1", "∂s/∂s × ∂s/∂z = 1 × (-1) = -1"],
        ["∂s0/∂(left z) = z = 0.5", "∂s/∂s0 × ∂s0/∂(left z) = 1 × 0.5 = 0.5"],
        ["-1 + 0.5 = -0.5"],
        ["∂s0/∂(right z) = z = 0.5", "∂s/∂s0 × ∂s0/∂(right z) = 1 × 0.5 = 0.5"],
        ["ds/dz = -0.5 + 0.5 = 0"],
        ["ds/dz = 0"],
    ]
    assert computation(s)[-2]["words"].endswith(
        " The sum is written ds/dz: ∂s/∂z is one of its terms."
    )


def test_the_sum_is_what_flows_on():
    x, w = values(x=2, w=3)
    h = x * w
    h.label = "h"
    f = h * 2 * h
    f.label = "f"
    assert ["∂h/∂x = w = 3", "∂f/∂x = df/dh × ∂h/∂x = 24 × 3 = 72"] in [
        equations for _, equations in lines(f)
    ]


@calm
@given(graphs(max_steps=20))
def test_a_symbol_has_one_value(recipe):
    root = build(recipe, [Value(x) for x in recipe.leaves])[-1]
    found = {}
    for step in computation(root):
        for equation in step["equations"]:
            sides = re.split(" = ", plain(equation))
            if re.fullmatch(r"[d∂]\w+/[d∂](\w+|\(\w+ \w+\))", sides[0]):
                assert sides[-1] == found.setdefault(sides[0], sides[-1])
                assert sides[0] not in re.split(" × | = ", " = ".join(sides[1:]))


def test_the_local_derivative_is_shown_by_the_table():
    found = {equations[0] for phase, equations in lines(neuron()) if phase == "backward"}
    y = neuron().data
    assert f"∂L/∂s3 = L × (1 − L) = {y:.4g} × (1 − {y:.4g}) = {y * (1 - y):.4g}" in found


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda x, _: x * -1, "f = x × (-1) = -2 × (-1) = 2"),
        (lambda x, _: 1 / x, "f = 1 / x = 1 / (-2) = -0.5"),
        (lambda x, _: -x, "f = -x = -(-2) = 2"),
        (lambda x, _: x**3, "f = pow(x, 3) = pow(-2, 3) = -8"),
        (lambda x, y: y - x, "f = y − x = 5 − (-2) = 7"),
        (lambda x, y: ag.maximum(x, y), "f = maximum(x, y) = maximum(-2, 5) = 5"),
        (lambda x, _: ag.relu(x), "f = relu(x) = relu(-2) = 0"),
        (lambda x, _: x**2, "f = x × x = -2 × (-2) = 4"),
        (lambda x, _: +x, "f = x = -2"),
    ],
)
def test_formulas_are_written_as_by_hand(make, expected):
    x, y = values(x=-2, y=5)
    f = make(x, y)
    f.label = "f"
    assert ("forward", [expected]) == lines(f)[1]


@calm
@given(graphs(max_steps=20))
def test_every_number_is_the_engine_s(recipe):
    root = build(recipe, [Value(x) for x in recipe.leaves])[-1]
    nodes, steps = graph.nodes(root), computation(root)
    expected = {f"n{i}.value": significant(node.data, 17) for i, node in enumerate(nodes)}
    for i, node in enumerate(nodes):
        if (gradient := pullback({root: 1.0}).get(node)) is not None:
            expected[f"n{i}.gradient"] = significant(gradient, 17)
    found = shown(steps)
    assert expected == {place: text for place, text in found.items() if ".local" not in place}

    rows = explain(root).rows
    products = [
        [significant(edge[part], 17) for part in ("upstream", "local", "downstream")]
        for row in reversed(rows)
        for edge in row["edges"]
    ]
    edges = [step for step in steps if any(place.endswith(".local") for place in step["shows"])]
    assert products == [numbers(step["equations"][1], "gradient", "local") for step in edges]
    assert [local for _, local, _ in products] == [
        text for place, text in found.items() if place.endswith(".local")
    ]


def test_final_gradients_are_those_of_backward(root):
    last = computation(root)[-1]
    root.backward()
    assert [f"∂{root.label}/∂{leaf.label} = {leaf.grad:.17g}" for leaf in graph.leaves(root)] == [
        plain(equation) for equation in last["equations"]
    ]


def test_one_step_for_each_node_edge_and_addition(root):
    edges = list(graph.edges(graph.operations(root)))
    fan_out = len(edges) - len({operand for _, operand, _ in edges})
    assert len(computation(root)) == 3 + len(graph.operations(root)) + len(edges) + fan_out


def test_a_node_is_computed_before_it_is_used(root):
    there = set()
    for step in computation(root):
        if step["phase"] == "forward":
            operands = {part.split("-")[0] for part in step["focus"] if re.match(r"n\d+-g", part)}
            assert {f"{operand}.value" for operand in operands} <= there
        elif step["chain"] and len(step["focus"]) > 1:
            assert f"{step['chain']}.gradient" in there
        there |= set(step["shows"])


def test_what_the_steps_name_is_in_the_drawing(root):
    ids = set(re.findall(r'<g id="([^"]+)"', to_svg(root)))
    for step in computation(root):
        assert {*step["focus"], *(place.split(".")[0] for place in step["shows"])} <= ids


def test_without_gradients_there_is_no_way_back():
    x = Value(2.0, "x", requires_grad=False)
    assert ["inputs", "forward"] == [phase for phase, _ in lines(x * x)]
    leaf = Value(2.0, "x")
    assert lines(leaf) == [
        ("inputs", ["x = 2"]),
        ("backward", ["∂x/∂x = 1"]),
        ("gradients", ["∂x/∂x = 1"]),
    ]


def test_constant_leaves_get_no_gradient():
    x, c = Value(2.0, "x"), Value(3.0, "c", requires_grad=False)
    y = x * c
    y.label = "y"
    assert ("gradients", ["∂y/∂x = 3"]) == lines(y)[-1]
    assert "n1.gradient" not in shown(computation(y))


def test_a_stale_leaf_is_said_to_be_stale():
    a, b = values(a=3, b=2)
    c = a * b
    c.label = "c"
    a.data = 10
    inputs, forward, *_ = computation(c, digits=4)
    assert "Stale, written after it was used: a." in inputs["words"]
    assert "stale" in forward["words"]
    assert "c = a × b = 6" == plain(forward["equations"][0])  # not 10 × 2 = 6


# The page, as text.


class Scripts(HTMLParser):
    """The scripts of a page, and the elements that stand in it."""

    def __init__(self, page):
        super().__init__()
        self.scripts, self.elements, self.inside = [], set(), False
        self.feed(page)

    def handle_starttag(self, tag, attrs):  # noqa: ARG002
        self.elements.add(tag)
        if tag == "script":
            self.scripts.append("")
        self.inside = tag == "script"

    def handle_data(self, data):
        if self.inside:
            self.scripts[-1] += data

    def handle_endtag(self, tag):  # noqa: ARG002
        self.inside = False


HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "<img src=x onerror=alert(1)>",
    "\"'&lt;&amp;\\u003c",
    "{{data}}{{drawing}}",
    "line\nbreak\r\t\0\u2028",
    "π\u202e\ud800🦊",
    "long" * 2500,
    'fill="#1a7f37" font-family="x" >',
]


def test_labels_stay_text():
    leaves = [Value(i, label) for i, label in enumerate(HOSTILE)]
    root = ag.sum(leaves)
    root.label = "</title>" + HOSTILE[0]
    page = step_through(root).html
    page.encode("utf-8")
    found = Scripts(page)
    assert 2 == len(found.scripts)
    data = json.loads(found.scripts[0])
    names = [node["name"] for node in data["nodes"]]
    assert [shortened(printable(label)) for label in HOSTILE] == names[: len(HOSTILE)]
    assert Scripts(step_through(fxyz()).html).elements == found.elements
    for label in (HOSTILE[1], HOSTILE[2], HOSTILE[4]):
        assert f">{html.escape(label, quote=False)}<" in page


def test_the_page_refers_to_nothing_outside():
    page = step_through(network()).html
    assert {"http://www.w3.org/2000/svg"} == set(re.findall(r"\w+://[^\s\"'<>]*", page))
    assert "default-src 'none'" in page


def test_numbers_are_not_told_before_they_are_computed():
    svg = re.search(r"<svg.*</svg>", step_through(fxyz()).html, re.DOTALL)[0]
    assert ["Computational graph of f"] == re.findall("<title>(.*?)</title>", svg)
    description = re.search("<desc>(.*?)</desc>", svg, re.DOTALL)[1]
    assert ["x", "y", "z", "q = x + y", "f = q × z"] == description.splitlines()


def test_every_node_that_a_step_names_is_named_in_the_drawing():
    svg = re.search(r"<svg.*</svg>", step_through(network()).html, re.DOTALL)[0]
    texts = re.findall("<(?:text|tspan)[^>]*>([^<]*)</", svg)
    assert set(graph.names(network()).values()) <= set(texts)


def test_the_same_graph_gives_the_same_page():
    assert step_through(network()).html == step_through(network()).html


def test_a_large_page_stays_below_a_megabyte():
    root = large()
    assert 290 <= len(graph.nodes(root)) <= 310
    assert len(step_through(root).html.encode()) < 1_000_000


def test_digits():
    steps = step_through(neuron(), digits=2).steps
    assert "L = sigmoid(s3) = sigmoid(1) = 0.73" in [plain(s["equations"][0]) for s in steps]


def test_no_gradient_is_written():
    root = fxyz()
    step_through(root)
    assert {0.0} == {node.grad for node in graph.nodes(root)}


def test_a_player_is_saved_and_shown_in_a_notebook(tmp_path):
    player = step_through(fxyz())
    player.save(tmp_path / "f.html")
    assert player.html == (tmp_path / "f.html").read_text("utf-8")
    frame = player._repr_html_()
    assert frame.startswith("<iframe ")
    assert player.html == html.unescape(re.search('srcdoc="([^"]*)"', frame)[1])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"root": 1.0}, TypeError, "root must be a Value, received the float 1.0"),
        ({"theme": "blue"}, ValueError, "theme must be one of .* received 'blue'"),
        ({"rankdir": "RL"}, ValueError, "rankdir must be one of .* received 'RL'"),
        ({"digits": 0}, ValueError, "digits must be a whole number from 1 to 17, received 0"),
        ({"max_nodes": 4}, ValueError, "has 5 nodes, more than max_nodes=4"),
        ({"groups": {"a": [Value(1.0)]}}, ValueError, r"groups\['a'\] holds leaf"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        step_through(**{"root": fxyz()} | arguments)


# The command line.


NEURON = ("1 / (1 + exp(-(w*x + b)))", "w=2", "x=-1", "b=0.5")


def test_the_command_line_writes_the_page(tmp_path, capsys):
    file = tmp_path / "neuron.html"
    assert 0 == main(NEURON)
    printed = capsys.readouterr().out
    assert 0 == main([*NEURON, "--html", str(file)])
    assert printed == capsys.readouterr().out
    w, x, b = values(w=2, x=-1, b=0.5)
    f = 1 / (1 + ag.exp(-(w * x + b)))
    f.label = "f"
    assert step_through(f).html == file.read_text("utf-8")
    assert [file] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x" + "+x" * 500, "x=1", "--html", "f.html"], "--html: the graph has 501 nodes"),
        (
            ["x", "x=1", "--html", "missing/f.html"],
            "--html: cannot write 'missing/f.html': No such",
        ),
        (["x", "x=1", "--html", "."], "--html: cannot write '.': Is a directory"),
        (["x", "x=1", "--html"], "argument --html: expected one argument"),
    ],
)
def test_what_the_command_line_cannot_write(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert 2 == main(arguments)
    output, errors = capsys.readouterr()
    assert "" == output
    assert errors.startswith(f"autograd: {message}")
    assert [] == list(tmp_path.iterdir())


# The page in a browser.

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))),
    None,
)
in_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on PATH: apt install chromium"
)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Screen:
    """A player in a browser tab, its requests and its errors."""

    def __init__(self, page, player, file):
        self.page, self.player, self.url = page, player, file.as_uri()
        self.requests, self.errors = [], []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text))
        player.save(file)
        page.goto(self.url)

    def seen(self):
        """What the page shows, as a reader sees it, and the numbers in the drawing by place."""
        seen = self.page.evaluate(_SEEN)
        colours = {getattr(THEMES["light"], part): part for part in ("value", "gradient", "local")}
        seen["drawn"] = {
            f"{id}.{colours[fill]}": text
            for id, fill, text in seen["drawn"]
            if text and fill in colours
        }
        return seen

    def shows(self, index):
        """Assert that the page shows the step, all of it and nothing else."""
        steps, step = self.player.steps, self.player.steps[index]
        assert {
            "place": f"Step {index + 1} of {len(steps)}: {step['phase']}",
            "equations": [plain(equation) for equation in step["equations"]],
            "words": step["words"],
            "drawn": shown(steps[: index + 1]),
            "slider": str(index + 1),
            "address": f"#step={index + 1}",
        } == self.seen()
        assert set(step["focus"]) == self.marked("focus")

    def marked(self, name):
        return set(self.page.locator(f"svg .{name}").evaluate_all("all => all.map(x => x.id)"))


_SEEN = """() => {
    const text = x => x.textContent.trim();
    const all = selector => [...document.querySelectorAll(selector)];
    return {
        place: text(document.querySelector("#place")),
        equations: all("#equations > span").map(text),
        words: text(document.querySelector("#words")),
        drawn: all("#drawing :is(.node, .edge) :is(text, tspan)[fill]").map(
            x => [x.closest("g").id, x.getAttribute("fill"), x.textContent]),
        slider: document.querySelector("#slider").value,
        address: location.hash,
    };
}"""


@pytest.fixture
def screen(browser, tmp_path):
    """Opens a player; in the end, nothing but its file was asked for and nothing went wrong."""
    pages = []

    def show(root, **options):
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        pages.append(Screen(page, step_through(root, **options), tmp_path / f"{len(pages)}.html"))
        return pages[-1]

    yield show
    for page in pages:
        assert [] == page.errors
        assert {page.url} >= {url.partition("#")[0] for url in page.requests}
        page.page.close()


WALKED = {"neuron": neuron, "2-2-1": network, "thrice": thrice}


@in_browser
@pytest.mark.parametrize("name", WALKED)
@pytest.mark.parametrize("move", ["key", "click"])
def test_every_step_forth_and_back(screen, name, move):
    tab = screen(WALKED[name]())
    last = len(tab.player.steps) - 1
    ways = {
        "key": lambda forth: tab.page.keyboard.press("ArrowRight" if forth else "ArrowLeft"),
        "click": lambda forth: tab.page.get_by_role(
            "button", name="Next" if forth else "Back"
        ).click(),
    }
    for index in range(last + 1):
        tab.shows(index)
        ways[move](True)
    tab.shows(last)  # there is nothing beyond
    for index in reversed(range(last)):
        ways[move](False)
        tab.shows(index)


@in_browser
@pytest.mark.parametrize("name", WALKED)
def test_the_last_page_shows_the_numbers_of_the_engine(screen, name):
    root = WALKED[name]()
    tab = screen(root)
    tab.page.keyboard.press("End")
    seen = tab.seen()
    root.backward()
    for i, node in enumerate(graph.nodes(root)):
        assert f"{node.data:.4g}" == seen["drawn"][f"n{i}.value"]
        assert f"{node.grad:.4g}" == seen["drawn"][f"n{i}.gradient"]
    gradients = [f"∂{root.label}/∂{x.label} = {x.grad:.4g}" for x in graph.leaves(root)]
    assert gradients == seen["equations"]


@in_browser
def test_the_chain_from_the_result_is_highlighted(screen):
    tab = screen(fxyz())
    tab.page.goto(f"{tab.url}#step=7")
    assert ["∂q/∂x = 1", "∂f/∂x = ∂f/∂q × ∂q/∂x = -4 × 1 = -4"] == tab.seen()["equations"]
    assert {"n3", "n3-g4-0", "g4", "g4-n4", "n4"} == tab.marked("chain")
    assert {"n3", "g3-n3", "g3", "n0-g3-0", "n0"} == tab.marked("focus")
    widths = [
        float(
            tab.page.locator(f"[id='{id}'] path").evaluate("x => getComputedStyle(x).strokeWidth")[
                :-2
            ]
        )
        for id in ("n0-g3-0", "n3-g4-0", "n2-g4-1")
    ]
    assert all(wide > thin for wide, thin in pairwise(widths))


@in_browser
def test_keys_buttons_slider_and_links_lead_to_a_step(screen):
    tab = screen(neuron())
    page, last = tab.page, len(tab.player.steps) - 1
    for key, index in [
        ("End", last),
        ("ArrowLeft", last - 1),
        ("PageUp", last - 2),
        ("Home", 0),
        ("PageDown", 1),
        ("ArrowRight", 2),
        ("Control+ArrowRight", 2),
    ]:
        page.keyboard.press(key)
        tab.shows(index)
    for name, index in [("Last", last), ("First", 0), ("Next", 1)]:
        page.get_by_role("button", name=name).click()
        tab.shows(index)
    page.keyboard.press("ArrowRight")  # while a button has the focus
    tab.shows(2)
    page.get_by_role("slider").fill("7")
    tab.shows(6)
    page.get_by_role("slider").press("ArrowRight")
    tab.shows(7)
    page.get_by_text("All steps").click()
    page.get_by_role("link").nth(4).click()
    tab.shows(4)
    assert plain(tab.player.steps[4]["equations"][0]) in page.locator("[aria-current]").inner_text()


@in_browser
@pytest.mark.parametrize(
    ("address", "index"), [("#step=12", 11), ("#step=1", 0), ("#step=99999", -1), ("#step=x", 0)]
)
def test_a_deep_link_opens_a_step(screen, address, index):
    tab = screen(neuron())
    tab.page.goto("about:blank")
    tab.page.goto(tab.url + address)
    tab.shows(range(len(tab.player.steps))[index])


@in_browser
def test_playing(screen):
    tab = screen(fxyz())
    tab.page.clock.install()
    tab.page.keyboard.press("Space")
    play = tab.page.locator("#play")
    expect(play).to_have_text("Pause")
    tab.shows(0)
    for index in (1, 2):
        tab.page.clock.run_for(2000)
        tab.shows(index)
    play.click()
    expect(play).to_have_text("Play")
    tab.page.clock.run_for(10_000)
    tab.shows(2)
    tab.page.get_by_label("Seconds for each step").select_option("1")
    play.click()
    tab.page.clock.run_for(1000)
    tab.shows(3)
    tab.page.keyboard.press("ArrowLeft")  # whoever steps takes over
    tab.page.clock.run_for(10_000)
    tab.shows(2)
    play.click()
    tab.page.clock.run_for(60_000)
    tab.shows(8)
    expect(play).to_have_text("Play")
    play.click()  # from the beginning
    tab.shows(0)


@in_browser
def test_reading_a_node(screen):
    tab = screen(fxyz())
    output = tab.page.locator("#output")
    tab.page.locator("#n3 text").first.hover()
    gate = (
        "The add gate computes the sum. "
        "The add gate is a distributor: each operand gets the upstream gradient."
    )
    expect(output).to_have_text(f"q = x + y. {gate}")
    tab.page.keyboard.press("ArrowRight")
    expect(output).to_have_text(f"q = x + y. {gate} Value 3.0.")
    tab.page.keyboard.press("End")
    expect(output).to_have_text(f"q = x + y. {gate} Value 3.0. Gradient -4.0.")
    tab.page.get_by_label("Read a node").select_option("z")
    expect(output).to_have_text("z. An input. Value -4.0. Gradient 3.0.")
    assert {"n2"} == tab.marked("read")
    tab.page.locator("#g4 ellipse").hover(force=True)
    expect(output).to_contain_text("f = q × z. The mul gate computes the product.")


@in_browser
def test_a_sum_is_not_read_before_it_is_complete(screen):
    tab = screen(thrice())
    output = tab.page.locator("#output")
    tab.page.get_by_label("Read a node").select_option("a")
    read = set()
    for _ in tab.player.steps:
        read.add(output.inner_text().removeprefix("a. An input. Value 3.0."))
        tab.page.get_by_role("button", name="Next").click()
    assert {"", " Gradient 8.0."} <= read
    assert 4 == len(read)
    assert all(re.fullmatch(r"( Gradient so far \d\.| Gradient 8\.0\.)?", text) for text in read)


@in_browser
def test_a_large_drawing_follows_the_steps(screen):
    tab = screen(large())
    tab.page.emulate_media(reduced_motion="reduce")
    assert "false" == tab.page.locator("#fit").get_attribute("aria-pressed")
    view = tab.page.locator("#drawing").bounding_box()
    for address in ("#step=500", "#step=100", "#step=300"):
        tab.page.goto(tab.url + address)
        new = tab.page.locator("svg .new").first.bounding_box()
        assert view["x"] <= new["x"] <= view["x"] + view["width"]
        assert view["y"] <= new["y"] <= view["y"] + view["height"]
    tab.page.get_by_role("button", name="Fit").click()
    drawing = tab.page.locator("svg").bounding_box()
    assert drawing["width"] <= view["width"]
    assert drawing["height"] <= view["height"]


@in_browser
@pytest.mark.parametrize(
    ("preference", "behaviour"), [("reduce", "auto"), ("no-preference", "smooth")]
)
def test_reduced_motion(screen, preference, behaviour):
    tab = screen(large())
    tab.page.emulate_media(reduced_motion=preference)
    tab.page.evaluate(
        "() => { Element.prototype.scrollBy = to => { window.scrolled = to.behavior } }"
    )
    tab.page.keyboard.press("ArrowRight")
    assert behaviour == tab.page.evaluate("window.scrolled")


def luminance(colour):
    """The relative luminance of WCAG 2."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def rgb(colour):
    return f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})"


def colours(tab):
    return tab.page.evaluate(
        """() => ["background-color", "color"].map(name =>
           getComputedStyle(document.body).getPropertyValue(name))
           .concat(getComputedStyle(document.querySelector("#n0.node text[font-style]")).fill)"""
    )


@in_browser
@pytest.mark.parametrize("theme", THEMES)
def test_themes(screen, theme):
    def expected(name):
        theme = THEMES[name]
        return [rgb(theme.paper), rgb(theme.ink), rgb(theme.gradient)]

    tab = screen(fxyz(), theme=theme)
    assert expected(theme) == colours(tab)
    tab.page.get_by_role("button", name="Dark").click()
    assert expected("light" if theme == "dark" else "dark") == colours(tab)
    tab.page.emulate_media(media="print")
    assert expected("print") == colours(tab)


@in_browser
@pytest.mark.parametrize("theme", THEMES)
def test_a_number_that_has_just_appeared_can_be_read(screen, theme):
    tab = screen(fxyz(), theme=theme)
    mark, *texts = tab.page.evaluate(
        """() => ["--mark", "--value", "--gradient", "--local"].map(name =>
           getComputedStyle(document.documentElement).getPropertyValue(name).trim())"""
    )
    for text in texts:
        dark, light = sorted(map(luminance, (mark, text)))
        assert (light + 0.05) / (dark + 0.05) >= 4.5


@in_browser
def test_printing(screen):
    tab = screen(fxyz())
    tab.page.keyboard.press("End")
    tab.page.emulate_media(media="print")
    for id, visible in [("drawing", True), ("step", True), ("controls", False), ("reading", False)]:
        expect(tab.page.locator(f"#{id}")).to_be_visible(visible=visible)
    assert tab.page.pdf().startswith(b"%PDF")


@in_browser
def test_in_the_frame_of_a_notebook(screen):
    tab = screen(fxyz())
    tab.page.set_content(tab.player._repr_html_())
    frame = tab.page.frame_locator("iframe")
    expect(frame.locator("#place")).to_have_text("Step 1 of 9: inputs")
    frame.get_by_role("button", name="Next").click()
    expect(frame.locator("#place")).to_have_text("Step 2 of 9: forward")
    frame.get_by_text("All steps").click()
    frame.get_by_role("link").nth(6).click()
    expect(frame.locator("#place")).to_have_text("Step 7 of 9: backward")


@in_browser
def test_hostile_labels_in_the_browser(screen):
    leaves = [Value(i, label) for i, label in enumerate(HOSTILE)]
    tab = screen(ag.sum(leaves))
    for _ in range(3):
        tab.page.keyboard.press("ArrowRight")
    tab.shows(3)
    assert 2 == tab.page.locator("script").count()
    assert 0 == tab.page.locator("img").count()


@in_browser
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("key", ["Home", "ArrowRight", "End"])
def test_accessibility(screen, theme, key):
    tab = screen(thrice(), theme=theme)
    tab.page.keyboard.press(key)
    tab.page.get_by_text("All steps").click()
    violations = Axe().run(tab.page).response["violations"]
    assert [] == [(found["id"], found["impact"], found["help"]) for found in violations]


@in_browser
def test_without_a_mouse_everything_is_reached_and_seen(screen):
    tab = screen(fxyz())
    reached = []
    for _ in range(12):
        tab.page.keyboard.press("Tab")
        focused = tab.page.evaluate(
            "[document.activeElement.id || document.activeElement.localName,"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        reached.append(focused[0])
        assert "solid" == focused[1]
    controls = ["first", "back", "play", "next", "last", "slider", "pace", "fit", "dark", "read"]
    assert ["drawing", "step", *controls] == reached
