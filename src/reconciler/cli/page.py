"""Help as a page of the manual: what, options in groups, examples, exit codes, see also."""

from __future__ import annotations

import click

from reconciler.cli.manual import ENVIRONMENT, MANUAL


class CommonOption(click.Option):
    """An option that every command takes: listed after the command's own."""


class DaemonOption(CommonOption):
    """An option that only the daemon heeds: other commands take it and do not list it."""


class Page(click.Command):
    """A command whose help is a page of the manual."""

    def format_options(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """Write the command's own options, then those that all commands take."""
        own: list[tuple[str, str]] = []
        common: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and self._is_listed(param):
                is_common = isinstance(param, CommonOption) or param.name == "help"
                (common if is_common else own).append(record)
        for title, records in (("Options", own), ("Common options", common)):
            with formatter.section(title):
                formatter.write_dl(records)

    def _is_listed(self, param: click.Parameter) -> bool:
        if not isinstance(param, DaemonOption) or self.name == "run":
            return True
        return param.name in MANUAL[self.name or ""].heeds

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write examples, exit codes, environment and what else to read."""
        del ctx
        manual = MANUAL[self.name or ""]
        with formatter.section("Examples"):
            for what, line in manual.examples:
                formatter.write_text(f"{what}:")
                # Not wrapped: a command line is copied whole.
                formatter.write(f"{'':{formatter.current_indent + 2}}{line}\n")
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), why) for code, why in manual.exits.items()])
        for title, text in (
            ("Environment", ENVIRONMENT),
            ("See also", manual.see_also),
        ):
            with formatter.section(title):
                formatter.write_text(text)
