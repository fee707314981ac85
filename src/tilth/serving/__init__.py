"""Floor 4: a trained model answers, in a terminal and over HTTP. Front door, and light.

folders    find_models, pick_model: which exported models a path stands for                       (no torch)
models     load_model, ServedModel: an engine, its tokenizer and its chat template; set_threads
text       TextStream: tokens to text as they come, in whole characters, up to a stop string       (no torch)
dialogue   Dialogue: one conversation with its history
terminal   converse, answer_lines, answer_once: a dialogue in a terminal or a pipe
worker     Worker: the thread that steps the engines for all requests
protocol   what OpenAI's API asks and answers, as data
fields     without_effect: which of its fields are accepted without being acted on                   (no torch)
exchange   Exchange: one HTTP request's jobs, streamed or whole (needs fastapi)
app        create_app: the HTTP application
server     serve: the application on a port (needs uvicorn)
page.html  the chat page: one file, nothing loaded from elsewhere
"""
