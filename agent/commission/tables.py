"""Tables as installers are handed them: CSV in UTF-8 or GB18030, and XLSX. Bounded."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

from agent.commission.lines import ToolError
from config.desk_limits import (
    TABLE_CELL_CHARS_MAX,
    TABLE_COLUMNS_MAX,
    TABLE_FILE_BYTES_MAX,
    TABLE_ROWS_MAX,
    TABLE_UNPACKED_BYTES_MAX,
)

Rows = list[list[str]]


def read_table(path: Path) -> Rows:
    """All rows with something in them, as texts. Raises ToolError."""
    try:
        if path.stat().st_size > TABLE_FILE_BYTES_MAX:
            raise ToolError(
                f"{path}: is larger than {TABLE_FILE_BYTES_MAX} bytes",
                f"{path}：文件大于 {TABLE_FILE_BYTES_MAX} 字节",
            )
        data = path.read_bytes()
    except OSError as e:
        raise ToolError(
            f"{path}: cannot be read: {e.strerror}", f"{path}：无法读取：{e.strerror}"
        ) from e
    if path.suffix.lower() == ".xlsx":
        return _xlsx_rows(path, data)
    if path.suffix.lower() == ".csv":
        return _csv_rows(path, data)
    raise ToolError(
        f"{path}: expected a file that ends in .csv or .xlsx",
        f"{path}：文件名应以 .csv 或 .xlsx 结尾",
    )


def write_table(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """Write a new file; one that is there is not touched. Raises ToolError."""
    if path.suffix.lower() == ".xlsx":
        data = _xlsx_bytes(rows)
    elif path.suffix.lower() == ".csv":
        out = io.StringIO()
        csv.writer(out).writerows(rows)
        data = out.getvalue().encode("utf-8-sig")  # or spreadsheets take it for another encoding
    else:
        raise ToolError(
            f"{path}: expected a file that ends in .csv or .xlsx",
            f"{path}：文件名应以 .csv 或 .xlsx 结尾",
        )
    try:
        with path.open("xb") as f:
            f.write(data)
    except FileExistsError as e:
        raise ToolError(
            f"{path}: is there already and is not touched; choose another name",
            f"{path}：文件已存在，未作改动；请另取名称",
        ) from e
    except OSError as e:
        raise ToolError(
            f"{path}: cannot be written: {e.strerror}", f"{path}：无法写入：{e.strerror}"
        ) from e


def _csv_rows(path: Path, data: bytes) -> Rows:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            text = data.decode("gb18030")
        except UnicodeDecodeError as e:
            raise ToolError(
                f"{path}: expected text in UTF-8 or GB18030",
                f"{path}：应为 UTF-8 或 GB18030 编码的文本",
            ) from e
    separator = max(",;\t", key=text.split("\n", 1)[0].count)
    try:
        return _bounded(path, csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as e:
        raise ToolError(
            f"{path}: this is not a CSV file: {e}", f"{path}：不是 CSV 文件：{e}"
        ) from e


def _xlsx_rows(path: Path, data: bytes) -> Rows:
    from openpyxl import load_workbook  # noqa: PLC0415 -- only who reads XLSX pays for it

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            if sum(i.file_size for i in packed.infolist()) > TABLE_UNPACKED_BYTES_MAX:
                raise ToolError(
                    f"{path}: unpacks to more than {TABLE_UNPACKED_BYTES_MAX} bytes",
                    f"{path}：解压后大于 {TABLE_UNPACKED_BYTES_MAX} 字节",
                )
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        rows = sheet.iter_rows(values_only=True, max_col=TABLE_COLUMNS_MAX,
                               max_row=TABLE_ROWS_MAX + 1)  # fmt: skip
        return _bounded(path, ([_cell(c) for c in row] for row in rows))
    except ToolError:
        raise
    except Exception as e:  # foreign bytes: whatever the library says of them
        raise ToolError(
            f"{path}: this is not an XLSX file: {type(e).__name__}",
            f"{path}：不是 XLSX 文件：{type(e).__name__}",
        ) from e


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _bounded(path: Path, rows: object) -> Rows:
    out: Rows = []
    for number, row in enumerate(rows, 1):  # type: ignore[arg-type, var-annotated]  # -- two readers
        if number > TABLE_ROWS_MAX:
            raise ToolError(
                f"{path}: has more than {TABLE_ROWS_MAX} rows",
                f"{path}：超过 {TABLE_ROWS_MAX} 行",
            )
        cells = [str(c).strip() for c in row[:TABLE_COLUMNS_MAX]]
        if any(len(c) > TABLE_CELL_CHARS_MAX for c in cells):
            raise ToolError(
                f"{path}: row {number}: a cell has over {TABLE_CELL_CHARS_MAX} letters",
                f"{path}：第 {number} 行：有单元格超过 {TABLE_CELL_CHARS_MAX} 个字符",
            )
        out.append(cells)
    while out and not any(out[-1]):
        out.pop()
    width = max((k + 1 for row in out for k, cell in enumerate(row) if cell), default=0)
    return [row[:width] for row in out]


def _xlsx_bytes(rows: Sequence[Sequence[str]]) -> bytes:
    from openpyxl import Workbook  # noqa: PLC0415 -- as above

    book = Workbook(write_only=True)
    sheet = book.create_sheet("points")
    for row in rows:
        # A text stays a text: nothing that a site is called becomes a formula.
        sheet.append([f" {c}" if c.startswith("=") else c for c in row])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()
