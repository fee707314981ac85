"""Personal data: found and masked, and secrets of our own planted to ask a model for.

mask        the step
patterns    the forms of each kind                  checks         check digits and rules of issue
addresses   postal addresses                        streets        those outside China
canaries    planted behind the chain
"""
