//! Building a page in which nothing that a name holds can be taken for markup.

use std::fmt::Display;

/// A page under construction.
#[derive(Default)]
pub(super) struct Html(String);

impl Html {
    /// Adds markup as it is; never with anything in it that came from outside.
    pub(super) fn raw(&mut self, markup: &str) -> &mut Html {
        self.0 += markup;
        self
    }

    /// Adds text.
    pub(super) fn text(&mut self, text: impl Display) -> &mut Html {
        for c in text.to_string().chars() {
            match c {
                '&' => self.0 += "&amp;",
                '<' => self.0 += "&lt;",
                '>' => self.0 += "&gt;",
                '"' => self.0 += "&quot;",
                '\'' => self.0 += "&#39;",
                // What HTML does not allow, or what reorders the text around it.
                '\n' => self.0.push('\n'),
                c if c.is_control() || is_invisible(c) => {
                    self.0 += &c.escape_default().to_string();
                }
                c => self.0.push(c),
            }
        }
        self
    }

    /// Adds an element that holds only text.
    pub(super) fn element(&mut self, name: &str, text: impl Display) -> &mut Html {
        self.raw("<").raw(name).raw(">").text(text);
        self.raw("</").raw(name).raw(">\n")
    }

    /// Adds a row of a table: what, and how much of it.
    pub(super) fn row(&mut self, what: impl Display, value: impl Display) -> &mut Html {
        self.raw("<tr><th>").text(what).raw("</th><td>");
        self.text(value).raw("</td></tr>\n")
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// Marks without a shape of their own that change how the text around them is read.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_can_be_markup() {
        let mut page = Html::default();
        page.element("p", "<script>alert('x' & \"y\")</script>\u{202e}\u{1b}[2J");
        assert_eq!(
            page.finish(),
            "<p>&lt;script&gt;alert(&#39;x&#39; &amp; &quot;y&quot;)&lt;/script&gt;\\u{202e}\\u{1b}[2J</p>\n"
        );
    }
}
