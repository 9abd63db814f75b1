"""llem-notify: messages when a study starts, fails in part, stalls or ends, by webhook, chat or mail."""
