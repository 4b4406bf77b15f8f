"""How Sphinx makes the site: `sphinx-build -W docs build/site`, with the extra [docs]."""

import re

from docutils import nodes
from sphinx.transforms import SphinxTransform

import gaussmix

project = "gaussmix"
author = "The gaussmix developers"
version = release = gaussmix.__version__
repository = "https://github.com/gaussmix/gaussmix"

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "myst_parser", "sphinx_gallery.gen_gallery"]
exclude_patterns = ["gallery/*", "_templates"]  # the gallery's pages are in auto_gallery, which its scripts become
templates_path = ["_templates"]
highlight_language = "text"
nitpicky = True

# Pages in Markdown, whose headings are targets as they are on GitHub.
myst_heading_anchors = 3

# The reference: every module of reference/index.rst gets a page, and so does each name in its __all__.
autosummary_generate = True
autosummary_ignore_module_all = False
autosummary_imported_members = True
autosummary_context = {"elsewhere": {  # names that two modules have: one of the two pages describes it
    "gaussmix.functional.Prior": "gaussmix.structures.Prior",
    "gaussmix.modelfile.load": "gaussmix.load",
    "gaussmix.modelfile.save": "gaussmix.save",
    "gaussmix.selection.select": "gaussmix.select",
}}
autodoc_typehints = "none"  # the docstrings have the types
autodoc_member_order = "bysource"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

# The gallery: every docs/gallery/plot_*.py runs, and an error in one of them is one of the build.
sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "within_subsection_order": "FileNameSortKey",
    "backreferences_dir": "reference/generated/examples",
    "doc_module": ("gaussmix",),
    "reference_url": {"gaussmix": None},
    "abort_on_example_error": False,  # so that all are reported
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "download_all_examples": False,
    "thumbnail_size": (400, 280),
}

html_theme = "pydata_sphinx_theme"
html_title = f"gaussmix {version}"
html_static_path = ["_static"]
html_css_files = ["gaussmix.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "github_url": repository,
    "header_links_before_dropdown": 6,
    "navigation_with_keys": False,
    "navigation_depth": 2,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
}
html_sidebars = {"index": []}
copyright = "The gaussmix developers, BSD-3-Clause"


def lead_into_the_site(app, name, source):
    """On GitHub pages link to the gallery's scripts; on the site these links lead to the pages that the scripts become."""
    def there(link):
        return f"{link[1]}auto_gallery/{link[2] or 'index'}.rst)"

    source[0] = re.sub(r"(\]\((?:\.\./)*)gallery/(?:(plot_\w+)\.py)?\)", there, source[0])


class Subscripts(SphinxTransform):
    """Formulas are written as w_n and x_{n−1}, which can be read anywhere; on the site these are subscripts."""

    default_priority = 900
    written = re.compile(r"(?<![A-Za-z0-9_`])([A-Za-zΑ-Ωα-ω]|(?<=\))())_(?:\{([^}]+)\}|([a-z]{1,2}|[0-9]))(?![A-Za-z0-9_])")

    def apply(self):
        for text in list(self.document.findall(nodes.Text)):
            verbatim = (nodes.literal, nodes.FixedTextElement, nodes.raw, nodes.math, nodes.comment, nodes.Invisible)
            if isinstance(text.parent, verbatim) or not self.written.search(text):
                continue
            parts, end = [], 0
            for found in self.written.finditer(text):
                below = found[3] or found[4]
                parts += [nodes.Text(text[end:found.end(1)]), nodes.subscript(below, below)]
                end = found.end()
            text.parent.replace(text, [*parts, nodes.Text(text[end:])])


def setup(app):
    app.add_transform(Subscripts)
    app.connect("source-read", lead_into_the_site)
