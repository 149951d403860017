mod transitions;
