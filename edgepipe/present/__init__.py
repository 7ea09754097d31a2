"""What a judged report looks like to a person, a pull request, a CI server or a program."""
