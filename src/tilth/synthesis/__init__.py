"""Floor 4: text that nobody wrote down before. What stands here is read back by the corpus as a source.

settings     GrammarSettings: the recipe's `synthesize:` section
documents    what a generator yields; one document is a function of (seed, kind, index)
stories      short stories                       English and Chinese
arithmetic   problems with worked solutions      English and Chinese
people       biographies of invented people, and questions about them
questions    words, days, kinds and opposites
chats        conversations, preferences and held-out items over the families of questions
write        write_documents, write_records: all of it to JSON Lines
"""
