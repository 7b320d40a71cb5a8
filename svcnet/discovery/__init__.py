"""How clients find Services, as pure functions of the models."""
