//! Rows as text.

use std::io::{self, Write};

use query::{Rows, Value};

/// What is shown of one value in a table.
const MAX_CHARS: usize = 80;

/// Columns below each other: numbers to the right.
pub(super) fn aligned(out: &mut impl Write, rows: &Rows) -> io::Result<()> {
    let names: Vec<String> = rows.columns.iter().map(|column| short(&column.name)).collect();
    let cells: Vec<Vec<String>> =
        rows.rows.iter().map(|row| row.iter().map(|value| short(&value.text())).collect()).collect();
    let widths: Vec<usize> = names
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let of_cells = cells.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
            of_cells.chain([name.chars().count()]).max().unwrap_or(0)
        })
        .collect();
    let is_number = |row: usize, at: usize| {
        let value = rows.rows.get(row).and_then(|row| row.get(at));
        matches!(value, Some(Value::Integer(_) | Value::Unsigned(_) | Value::Float(_)))
    };
    let mut line = |cells: &[String], is_number: &dyn Fn(usize) -> bool| {
        let texts: Vec<String> = cells
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(at, (cell, &width))| match is_number(at) {
                true => format!("{cell:>width$}"),
                false => format!("{cell:<width$}"),
            })
            .collect();
        writeln!(out, "{}", texts.join("  ").trim_end())
    };
    line(&names, &|at| is_number(0, at))?;
    let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    line(&rules, &|_| false)?;
    for (row, cells) in cells.iter().enumerate() {
        line(cells, &|at| is_number(row, at))?;
    }
    Ok(())
}

/// Values with commas between them (RFC 4180).
pub(super) fn csv(out: &mut impl Write, rows: &Rows) -> io::Result<()> {
    let line = |values: Vec<String>| values.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(",");
    write!(out, "{}\r\n", line(rows.columns.iter().map(|column| column.name.clone()).collect()))?;
    for row in &rows.rows {
        write!(out, "{}\r\n", line(row.iter().map(Value::text).collect()))?;
    }
    Ok(())
}

fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// Of one line, without what a terminal obeys.
fn short(text: &str) -> String {
    let mut plain: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_CHARS).collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        plain.push('…');
    }
    plain
}

#[cfg(test)]
mod tests {
    use query::Column;

    use super::*;

    fn rows() -> Rows {
        let column = |name: &str| Column { name: name.to_owned(), kind: String::new() };
        let text = |text: &str| Value::Text(text.to_owned());
        Rows {
            columns: vec![column("function"), column("n")],
            rows: vec![
                vec![text("operator,\u{1b}[31m\"x\""), Value::Integer(7)],
                vec![text("f"), Value::Integer(1_234)],
                vec![Value::Null, Value::Null],
            ],
            truncated: false,
        }
    }

    #[test]
    fn a_table_has_columns_below_each_other() {
        let mut out = Vec::new();
        aligned(&mut out, &rows()).expect("writes");
        let text = String::from_utf8(out).expect("is text");
        let lines: Vec<&str> = text.lines().collect();
        let expected = [
            "function              n",
            "-----------------  ----",
            "operator, [31m\"x\"     7",
            "f                  1234",
            "",
        ];
        assert_eq!(lines, expected, "{text}");
    }

    #[test]
    fn a_comma_and_a_quote_are_quoted() {
        let mut out = Vec::new();
        csv(&mut out, &rows()).expect("writes");
        let text = String::from_utf8(out).expect("is text");
        assert_eq!(text, "function,n\r\n\"operator,\u{1b}[31m\"\"x\"\"\",7\r\nf,1234\r\n,\r\n");
    }
}
