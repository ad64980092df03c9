"""Tables of the report: one file a table, one public class with `build(run) -> Table | None`."""
